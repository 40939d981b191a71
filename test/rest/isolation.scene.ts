import { expect } from 'vitest';
import { hangUp, ok } from '../../src/dev/behaviours.ts';
import { eventually } from '../faults/scene.ts';
import { createRest, type Rest } from '../stack/rest.ts';
import { SECRET, unique, type World } from '../stack/world.ts';

/** What a tenant's things are called. */
export interface Names {
  readonly tool: string;
  readonly agent: string;
  readonly lock: string;
  readonly lease: string;
  readonly leaseId: string;
  readonly call: string;
  readonly actionId: string;
  readonly doubtId: string;
  readonly approvalId: string;
  readonly run: string;
  readonly event: string;
  readonly keyId: string;
  readonly actionsCursor: string;
  readonly auditCursor: string;
}

/** A tenant with something of everything; its own words all carry `mark`, and `secrets` are its other values. */
export interface FullTenant {
  readonly rest: Rest;
  readonly mark: string;
  readonly names: Names;
  readonly secrets: readonly string[];
  /** Everything it can read of itself. */
  reads(): Promise<unknown>;
}

/** A new tenant that has nothing but its first key. */
export async function newTenant(world: World): Promise<Rest> {
  const { body } = await world.rest.post('/v1/tenants', { tenant: unique('tenant') });
  return createRest(world.rest.url, body.api_key);
}

/** Names that nobody has given to anything. */
export function namesOfNothing(): Names {
  const none = unique('none');
  return {
    ...wordsOf(none),
    leaseId: `lease_${none}`,
    actionId: 'act_00000000000000000000000000000000',
    doubtId: 'act_00000000000000000000000000000001',
    approvalId: 'apr_00000000000000000000000000000002',
    keyId: 'key_0000000000000000',
    actionsCursor: '1700000000000000.act_0',
    auditCursor: '1700000000000000.1',
  };
}

const wordsOf = (mark: string) => ({
  tool: `${mark}.charge`,
  agent: `${mark}:agent`,
  lock: `${mark}/lock`,
  lease: `${mark}/lease`,
  call: `${mark}/call`,
  run: `${mark}/run`,
  event: `${mark}/event`,
});

/** The tool that a tenant registers under this name. */
export const toolOf = (world: World, name: string, fields: object = {}) => ({
  name,
  url: world.receiver.endpoint('/isolated', ok()),
  auth: { type: 'hmac_sha256', secret: SECRET },
  ...fields,
});

/** Makes a tenant with a tool, a policy, locks, leases, actions, a run, a disabled agent, keys, and what comes of them. */
export async function fullTenant(world: World): Promise<FullTenant> {
  const rest = await newTenant(world);
  const mark = unique('theirs');
  const words = wordsOf(mark);
  const { tool, agent, lock, lease, call, run, event } = words;
  const post = async (path: string, body?: unknown, headers?: Record<string, string>) =>
    (await rest.post(path, body, headers)).body;

  const registered = await post('/v1/tools', toolOf(world, tool, { description: mark }));
  const breaks = toolOf(world, `${tool}.breaks`);
  await post('/v1/tools', { ...breaks, url: world.receiver.endpoint('/breaks', hangUp('before_answer')) });
  await post(`/v1/policies/${agent}`, { allowed_tools: [tool, breaks.name], max_spend_usd_per_day: 12.34 });
  await post('/v1/check-lock', { key: lock, ttl: 600, owner: mark, metadata: { mark } });
  const held = await post('/v1/ai/lease', { key: lease, ttl: 600, owner: mark, metadata: { mark } });
  const done = await post('/v1/ai/lease', { key: `${lease}/done` });
  await post('/v1/ai/complete', { key: done.key, lease_id: done.lease_id, result: { mark } });
  const args = { mark, run_id: run };
  const action = await post('/v1/ai/run', { agent_id: agent, tool, args, spend_usd: 1.5, idempotency_key: call });
  const doubt = await post('/v1/ai/run', { agent_id: agent, tool: breaks.name, args });
  await post('/v1/ai/run', { agent_id: agent, tool, args: { mark }, spend_usd: 99 });
  const approval = await waitingCall(rest, `${agent}:careful`, tool);
  await post('/v1/events', { run_id: run, type: 'note', message: mark }, { 'idempotency-key': event });
  await post(`/v1/agents/${agent}/disable`, { reason: mark });
  const key = await post('/v1/keys', { name: mark });
  const next = async (path: string): Promise<string> => (await rest.get(path)).body.next_cursor;
  const [actionsCursor, auditCursor] = [await next('/v1/actions?limit=1'), await next('/v1/audit?limit=1')];

  const names: Names = {
    ...words,
    leaseId: held.lease_id,
    actionId: action.action_id,
    doubtId: doubt.action_id,
    approvalId: approval.id,
    keyId: key.id,
    actionsCursor,
    auditCursor,
  };
  const secrets = [
    rest.key,
    key.key,
    key.id,
    held.lease_id,
    action.action_id,
    doubt.action_id,
    approval.id,
    registered.secret_id,
  ];
  return { rest, mark, names, secrets, reads: () => readsOf(rest, names) };
}

/** A call that waits for a person. */
async function waitingCall(rest: Rest, agent: string, tool: string): Promise<{ id: string }> {
  await rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
  await rest.post('/v1/ai/run', { agent_id: agent, tool, wait: 0 });
  return await eventually(async () => {
    const [approval] = (await rest.get('/v1/approvals?status=pending')).body;
    expect(approval).toBeDefined();
    return approval;
  });
}

async function readsOf(rest: Rest, names: Names): Promise<unknown> {
  const { tool, agent, lease, actionId, doubtId, run } = names;
  const query = (key: string) => `key=${encodeURIComponent(key)}`;
  const paths = [
    ...['/v1/tools?scope_id=all', `/v1/tools/${tool}`, '/v1/policies', `/v1/policies/${agent}`, '/v1/actions'],
    '/v1/approvals',
    ...[`/v1/actions/${actionId}`, `/v1/actions/${doubtId}`, `/v1/decisions/${actionId}/explain`],
    ...[`/v1/ai/status?${query(lease)}`, `/v1/ai/result?${query(lease)}`, `/v1/ai/result?${query(`${lease}/done`)}`],
    ...['/v1/runs', `/v1/runs/${encodeURIComponent(run)}`, '/v1/events?limit=500', '/v1/audit?limit=1000'],
    ...[
      `/v1/agents/${agent}/logs`,
      `/v1/agents/${agent}/metrics`,
      '/v1/me',
      '/v1/usage/all',
      '/v1/metrics',
      '/v1/keys',
    ],
  ];
  const answers: Record<string, unknown> = {};
  for (const path of paths) {
    const { status, body } = await rest.get(path);
    if (status !== 200) throw new Error(`${path} answers ${status}: ${JSON.stringify(body)}`);
    // The one reading that time alone changes.
    answers[path] = path.startsWith('/v1/ai/status') ? { ...body, ttl_left: null } : body;
  }
  return answers;
}
