import { z } from 'zod';
import { AgentId } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import {
  ListedPolicy,
  Policy,
  PolicyAnswer,
  PolicyRequest,
  SavedPolicyAnswer,
  TemplateRequest,
} from '../../contracts/policy.ts';
import { ignoredOf } from '../../domain/ignored.ts';
import { policyFrom } from '../../domain/templates.ts';
import { checkConditions } from '../checked.ts';
import type { ApiDeps } from '../deps.ts';
import { ifMatchOf } from '../if-match.ts';
import { Reply, type RouteInput, route } from '../route.ts';
import { operating, watching } from '../scope.ts';
import { ValidationError } from '../validation.ts';

const tag = 'policies';
const ByAgent = z.object({ agent_id: AgentId });

const save = route({
  method: 'post',
  path: '/v1/policies/:agent_id',
  summary: "Create or replace an agent's policy",
  tag,
  needs: operating,
  bound: 'own',
  params: ByAgent,
  body: PolicyRequest,
  answer: SavedPolicyAnswer,
  refusals: ['unknown_tools', 'version_mismatch'],
  handle: async (input, deps) => {
    const { agent_id, ...asked } = input.body;
    await checkConditions(deps.judge, input.tenant, asked.conditions, []);
    const policy = Policy.parse(asked);
    return store(input, agent_id, policy, ignoredOf(asked, policy), deps);
  },
});

const fromTemplate = route({
  method: 'post',
  path: '/v1/policies/:agent_id/from-template',
  summary: "Create or replace an agent's policy by a template",
  tag,
  needs: operating,
  bound: 'own',
  params: ByAgent,
  body: TemplateRequest,
  answer: SavedPolicyAnswer,
  refusals: ['unknown_tools', 'version_mismatch'],
  handle: async (input, deps) => {
    const { template, overrides: asked = {}, agent_id, ...unknown } = input.body;
    await checkConditions(deps.judge, input.tenant, asked.conditions, ['overrides']);
    const overrides = Policy.parse(asked);
    const ignored = [...Object.keys(unknown), ...ignoredOf(asked, overrides, ['overrides'])];
    return store(input, agent_id, policyFrom(template, overrides), ignored, deps);
  },
});

const list = route({
  method: 'get',
  path: '/v1/policies',
  summary: 'The policy in force of every agent',
  tag,
  needs: watching,
  bound: 'own',
  answer: z.array(ListedPolicy),
  handle: ({ tenant, agents }, { stores }) => stores.policies.list(tenant, agents),
});

const get = route({
  method: 'get',
  path: '/v1/policies/:agent_id',
  summary: "An agent's policy in force",
  tag,
  needs: watching,
  bound: 'own',
  params: ByAgent,
  answer: PolicyAnswer,
  refusals: ['policy_not_found'],
  handle: async ({ tenant, params }, { stores }) => {
    const policy = await stores.policies.get(tenant, params.agent_id);
    if (policy === undefined) throw new Refusal('policy_not_found', { agent_id: params.agent_id });
    return tagged(policy);
  },
});

export const policies = [save, fromTemplate, list, get];

/** Its version is what `If-Match` compares. */
const tagged = <Answer extends PolicyAnswer>(answer: Answer): Reply<Answer> =>
  new Reply(answer, { headers: { ETag: `"${answer.policy_version}"` } });

type Input = Pick<RouteInput<typeof ByAgent, undefined, undefined>, 'tenant' | 'actor' | 'params' | 'header'>;

/** Clients name the agent in the body too; it has to be the one in the path. */
async function store(
  { tenant, actor, params, header }: Input,
  named: string | undefined,
  policy: Policy,
  ignored: readonly string[],
  { stores }: ApiDeps,
): Promise<Reply<SavedPolicyAnswer>> {
  if (named !== undefined && named !== params.agent_id) {
    const msg = 'agent_id should be the one in the path';
    throw new ValidationError([{ type: 'value_error', loc: ['body', 'agent_id'], msg, input: named }]);
  }
  const saved = await stores.policies.save(tenant, params.agent_id, policy, actor, ifMatchOf(header('If-Match')));
  if (saved.kind === 'unknown_tools') throw new Refusal('unknown_tools', { tools: saved.tools });
  if (saved.kind === 'version_mismatch') throw new Refusal('version_mismatch', { version: saved.version });
  return tagged({ ...saved.answer, ...(ignored.length > 0 && { ignored_fields: [...ignored] }) });
}
