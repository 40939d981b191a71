import { z } from 'zod';
import {
  Action,
  ActionAnswer,
  ActionList,
  ActionStatus,
  ResolveRequest,
  RunRequest,
  Wait,
} from '../../contracts/action.ts';
import { AgentRunRequest } from '../../contracts/agent-run.ts';
import { AgentId, limit, RunId, text } from '../../contracts/common.ts';
import { Lease } from '../../contracts/lease.ts';
import { Cursor } from '../../contracts/page.ts';
import type { GovernedCall } from '../../engine/action/call.ts';
import { mayActFor } from '../bound.ts';
import { idempotencyKeyOf, withOwner } from '../key-headers.ts';
import { Reply, type RouteInput, route } from '../route.ts';
import { acting, following, operating } from '../scope.ts';
import { parsePart, ValidationError } from '../validation.ts';

const tag = 'actions';
/** Exactly one of two modes; a `key` makes it mode A. */
const RunBody = z.union([AgentRunRequest, RunRequest]);
const RunAnswer = z.union([ActionAnswer, Lease]);
const isAgentRun = (body: z.output<typeof RunBody>): body is AgentRunRequest => body.key !== undefined;

const ById = z.object({ action_id: text(128) });

const run = route({
  method: 'post',
  path: '/v1/ai/run',
  summary: 'Make a governed call of a tool, or several in a row under one key, at most once',
  tag,
  needs: acting,
  bound: 'free',
  body: RunBody,
  answer: RunAnswer,
  otherwise: { 202: 'Not over yet: decision is pending' },
  refusals: ['tool_not_found', 'idempotency_mismatch'],
  handle: async ({ tenant, actor, agents, plan, body, header, sent, signal }, { actions, leases }) => {
    const inHeader = idempotencyKeyOf(sent);
    // A run has its key in the body; one in the header as well is looked at and does nothing.
    if (isAgentRun(body)) return await leases.run({ tenant, actor, agents, plan }, withOwner(body, sent));
    const answer = await actions.run({ ...callOf({ tenant, actor, body, header }, inHeader), signal });
    return new Reply(answer, { status: answer.decision === 'pending' ? 202 : 200 });
  },
});

const get = route({
  method: 'get',
  path: '/v1/actions/:action_id',
  summary: 'One action with its attempts',
  tag,
  needs: following,
  bound: 'own',
  params: ById,
  answer: Action,
  refusals: ['action_not_found'],
  handle: async ({ tenant, agents, params }, { actions }) => {
    const action = await actions.get(tenant, params.action_id);
    mayActFor(agents, action.agent_id);
    return action;
  },
});

const list = route({
  method: 'get',
  path: '/v1/actions',
  summary: 'Actions, the latest first',
  tag,
  needs: following,
  bound: 'own',
  query: z.object({
    status: ActionStatus.optional(),
    agent_id: AgentId.optional(),
    limit: limit(500, 100),
    cursor: Cursor.optional(),
  }),
  answer: ActionList,
  handle: ({ tenant, agents, query: { status, agent_id: agentId, limit, cursor: position } }, { actions }) =>
    actions.list(tenant, { status, agentId, agents, position, limit }),
});

const resolve = route({
  method: 'post',
  path: '/v1/actions/:action_id/resolve',
  summary: 'Say what became of an action in doubt',
  tag,
  needs: operating,
  bound: 'own',
  params: ById,
  body: ResolveRequest,
  answer: Action,
  refusals: ['action_not_found', 'action_not_in_doubt'],
  handle: async ({ tenant, actor, agents, params, body }, { actions }) => {
    if (agents !== null) mayActFor(agents, (await actions.get(tenant, params.action_id)).agent_id);
    return await actions.resolve(tenant, params.action_id, { ...body, actor });
  },
});

export const actions = [run, list, get, resolve];

type CallInput = Pick<RouteInput<undefined, undefined, typeof RunRequest>, 'tenant' | 'actor' | 'body' | 'header'>;

/** `args.run_id` names the timeline and is no part of the call; headers may carry the key and the patience. */
function callOf({ tenant, actor, body, header }: CallInput, inHeader: string | undefined): GovernedCall {
  const { run_id: named, ...args } = body.args ?? {};
  const runId = named === undefined || named === null ? body.run_id : parsePart(RunId, named, 'body', 'args', 'run_id');
  return {
    tenant,
    actor,
    agentId: body.agent_id,
    tool: body.tool,
    args,
    runId,
    spendUsd: body.spend_usd,
    idempotencyKey: keyOf(body.idempotency_key, inHeader),
    waitSeconds: body.wait ?? preferredWait(header('Prefer')),
  };
}

function keyOf(inBody: string | undefined, key: string | undefined): string | undefined {
  if (key !== undefined && inBody !== undefined && key !== inBody) {
    const msg = 'Idempotency-Key and idempotency_key should be the same';
    throw new ValidationError([{ type: 'value_error', loc: ['body', 'idempotency_key'], msg, input: inBody }]);
  }
  return inBody ?? key;
}

/** `Prefer: wait=10` (RFC 7240, 4.3), in seconds; other preferences are none of ours. */
function preferredWait(prefer: string | undefined): number | undefined {
  const [, seconds] = /(?:^|[,;\s])wait\s*=\s*"?(-?[\d.]+)"?/i.exec(prefer ?? '') ?? [];
  return seconds === undefined ? undefined : parsePart(Wait, Number(seconds), 'header', 'Prefer');
}
