import { z } from 'zod';
import { ToolName } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import {
  DeleteToolAnswer,
  RotatedSecret,
  RotateRequest,
  ScopeId,
  ToggleAnswer,
  ToggleRequest,
  Tool,
  ToolRequest,
} from '../../contracts/tool.ts';
import type { TargetGuard } from '../../dispatch/guard.ts';
import { onlyOwnScope, scopesOf } from '../bound.ts';
import { checkSchema } from '../checked.ts';
import { Reply, route } from '../route.ts';
import { following, operating } from '../scope.ts';
import { ValidationError } from '../validation.ts';

const tag = 'tools';
const ByName = z.object({ name: ToolName });
const InScope = z.object({ scope_id: ScopeId.default('global') });
const InScopeOrAll = z.object({ scope_id: z.union([z.literal('all'), ScopeId]).default('global') });
const refusals = ['tool_not_found'] as const;

const save = route({
  method: 'post',
  path: '/v1/tools',
  summary: 'Register a tool, or replace it',
  tag,
  needs: operating,
  bound: 'own',
  body: ToolRequest,
  answer: Tool,
  handle: async ({ tenant, actor, agents, body }, { stores, guard, judge }) => {
    onlyOwnScope(agents, body.scope_id ?? 'global');
    mayBeCalled(guard, 'url', body.url);
    mayBeCalled(guard, 'status_url', body.status_url);
    await checkSchema(judge, tenant, body.input_schema);
    const saved = await stores.tools.save(tenant, body, actor);
    if (saved.kind === 'saved') return saved.tool;
    const loc = body.auth === undefined ? ['body', 'auth'] : ['body', 'auth', 'secret'];
    throw new ValidationError([{ type: 'missing', loc, msg: 'Field required', input: null }]);
  },
});

const list = route({
  method: 'get',
  path: '/v1/tools',
  summary: 'The tools of a scope, or of all',
  tag,
  needs: following,
  bound: 'own',
  query: InScopeOrAll,
  answer: z.array(Tool),
  handle: ({ tenant, agents, query }, { stores }) =>
    stores.tools.list(tenant, query.scope_id === 'all' ? scopesOf(agents) : [query.scope_id]),
});

const get = route({
  method: 'get',
  path: '/v1/tools/:name',
  summary: 'One tool',
  tag,
  needs: following,
  bound: 'own',
  params: ByName,
  query: InScope,
  answer: Tool,
  refusals,
  handle: async ({ tenant, params, query }, { stores }) => {
    const tool = await stores.tools.get(tenant, params.name, query.scope_id);
    if (tool === undefined) throw new Refusal('tool_not_found', { tool: params.name });
    return tool;
  },
});

const toggle = route({
  method: 'post',
  path: '/v1/tools/:name/toggle',
  summary: 'Enable or disable a tool',
  tag,
  needs: operating,
  bound: 'own',
  params: ByName,
  query: InScope,
  body: ToggleRequest,
  answer: ToggleAnswer,
  refusals,
  handle: async ({ tenant, actor, agents, params: { name }, query, body: { enabled } }, { stores }) => {
    onlyOwnScope(agents, query.scope_id);
    const found = await stores.tools.toggle(tenant, name, query.scope_id, enabled, actor);
    if (!found) throw new Refusal('tool_not_found', { tool: name });
    return { name, enabled };
  },
});

const remove = route({
  method: 'delete',
  path: '/v1/tools/:name',
  summary: 'Delete a tool',
  tag,
  needs: operating,
  bound: 'own',
  params: ByName,
  query: InScope,
  answer: DeleteToolAnswer,
  refusals,
  handle: async ({ tenant, actor, agents, params: { name }, query: { scope_id } }, { stores }) => {
    onlyOwnScope(agents, scope_id);
    const found = await stores.tools.remove(tenant, name, scope_id, actor);
    if (!found) throw new Refusal('tool_not_found', { tool: name });
    return { ok: true as const, deleted: name, scope_id };
  },
});

const rotate = route({
  method: 'post',
  path: '/v1/tools/:name/rotate-secret',
  summary: 'Give a tool its next secret; both sign until the overlap ends',
  tag,
  needs: operating,
  bound: 'own',
  params: ByName,
  query: InScope,
  body: RotateRequest.optional(),
  answer: RotatedSecret,
  refusals,
  handle: async ({ tenant, actor, agents, params: { name }, query: { scope_id }, body = {} }, { stores }) => {
    onlyOwnScope(agents, scope_id);
    const rotated = await stores.rotations.rotate(tenant, name, scope_id, body, actor);
    if (rotated === undefined) throw new Refusal('tool_not_found', { tool: name });
    return new Reply(rotated, { headers: { 'Cache-Control': 'no-store' } });
  },
});

export const tools = [save, list, get, toggle, rotate, remove];

/** An address that the dispatcher would refuse is refused when it is registered (contract, section 11). */
function mayBeCalled(guard: TargetGuard, field: keyof ToolRequest, url: string | undefined): void {
  const checked = url === undefined ? { ok: true as const } : guard.checkUrl(url);
  if (checked.ok) return;
  const msg = `This server does not call such an address (${checked.reason})`;
  throw new ValidationError([{ type: 'target_refused', loc: ['body', field], msg, input: url }]);
}
