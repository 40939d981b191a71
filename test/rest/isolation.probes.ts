import { SECRET, type World } from '../stack/world.ts';
import { type Names, toolOf } from './isolation.scene.ts';

/** A request of one tenant, about names that another tenant has given, or nobody. */
export interface Probe {
  readonly what: string;
  /** What the asking tenant has of its own under these names. */
  readonly before?: (names: Names, world: World) => ReadonlyArray<readonly [path: string, body?: unknown]>;
  readonly ask: (names: Names, world: World) => { path: string; body?: unknown; headers?: Record<string, string> };
  readonly status: number;
  /** What the body says, whoever has given the names. */
  readonly says?: object;
}

const key = ({ lease }: Names) => `key=${encodeURIComponent(lease)}`;
const missing = (error: string) => ({ detail: { error } });

/** A route about one thing: what is another tenant's is not found, as what is nobody's. */
const notFound = (error: string, ask: Probe['ask']): Probe => ({
  what: 'is not found',
  ask,
  status: 404,
  says: missing(error),
});

const ofLease = (change: string, fields: object = {}): Probe[] => {
  const path = `/v1/ai/${change}`;
  const ask: Probe['ask'] = ({ lease, leaseId }) => ({ path, body: { key: lease, lease_id: leaseId, ...fields } });
  const before: Probe['before'] = ({ lease }) => [['/v1/ai/lease', { key: lease, ttl: 60 }]];
  const mismatch = {
    what: 'does not open its own lease of this key',
    before,
    ask,
    status: 409,
    says: missing('lease_mismatch'),
  };
  return [notFound('lease_not_found', ask), mismatch];
};

const locks: Record<string, Probe[]> = {
  'post /v1/check-lock': [
    {
      what: 'is locked for itself',
      ask: ({ lock }) => ({ path: '/v1/check-lock', body: { key: lock, ttl: 60 } }),
      status: 200,
      says: { success: true, status: 'locked', first_seen_at: null },
    },
  ],
  'post /v1/ai/lease': [
    {
      what: 'is acquired for itself, with the first fence',
      ask: ({ lease }) => ({ path: '/v1/ai/lease', body: { key: lease, ttl: 60 } }),
      status: 200,
      says: { status: 'acquired', version: 1, fence: 1, usage: 1, charged: 1 },
    },
  ],
  'post /v1/ai/extend': ofLease('extend'),
  'post /v1/ai/complete': ofLease('complete', { result: { mine: true } }),
  'post /v1/ai/fail': ofLease('fail', { error_code: 'mine' }),
  'post /v1/ai/cancel': ofLease('cancel'),
  'get /v1/ai/status': [notFound('lease_not_found', (names) => ({ path: `/v1/ai/status?${key(names)}` }))],
  'get /v1/ai/result': [notFound('lease_not_found', (names) => ({ path: `/v1/ai/result?${key(names)}` }))],
};

const call = ({ agent, tool, run }: Names, fields: object = {}) => ({
  path: '/v1/ai/run',
  body: { agent_id: agent, tool, args: { n: 1, run_id: run }, ...fields },
});
const ownTool: Probe['before'] = ({ tool }, world) => [['/v1/tools', toolOf(world, tool)]];

const actions: Record<string, Probe[]> = {
  'post /v1/ai/run': [
    notFound('tool_not_found', (names) => call(names)),
    {
      what: 'is executed with its own tool, whatever the other agent may do',
      before: ownTool,
      ask: (names) => call(names),
      status: 200,
      says: { decision: 'executed', policy_version: null, spend_usd: 0 },
    },
    {
      what: 'is executed under an Idempotency-Key that the other has used for another call',
      before: ownTool,
      ask: (names) => call(names, { idempotency_key: names.call }),
      status: 200,
      says: { decision: 'executed' },
    },
    {
      what: 'as a run takes a lease of its own',
      ask: ({ lease }) => ({ path: '/v1/ai/run', body: { key: lease, ttl: 60 } }),
      status: 200,
      says: { status: 'acquired', fence: 1 },
    },
  ],
  'get /v1/actions': [
    { what: 'shows none', ask: () => ({ path: '/v1/actions' }), status: 200, says: { items: [], next_cursor: null } },
    {
      what: 'shows none behind a cursor, or of an agent',
      ask: ({ agent, actionsCursor }) => ({ path: `/v1/actions?cursor=${actionsCursor}&agent_id=${agent}` }),
      status: 200,
      says: { items: [], next_cursor: null },
    },
  ],
  'get /v1/actions/:action_id': [notFound('action_not_found', ({ actionId }) => ({ path: `/v1/actions/${actionId}` }))],
  'post /v1/actions/:action_id/resolve': [
    notFound('action_not_found', ({ doubtId }) => ({
      path: `/v1/actions/${doubtId}/resolve`,
      body: { outcome: 'executed' },
    })),
  ],
  'get /v1/approvals': [
    { what: 'shows none', ask: () => ({ path: '/v1/approvals' }), status: 200, says: [] },
    { what: 'shows none that wait', ask: () => ({ path: '/v1/approvals?status=pending' }), status: 200, says: [] },
  ],
  'get /v1/approvals/:approval_id': [
    notFound('approval_not_found', ({ approvalId }) => ({ path: `/v1/approvals/${approvalId}` })),
  ],
  'post /v1/approvals/:approval_id/approve': [
    notFound('approval_not_found', ({ approvalId }) => ({ path: `/v1/approvals/${approvalId}/approve` })),
  ],
  'post /v1/approvals/:approval_id/deny': [
    notFound('approval_not_found', ({ approvalId }) => ({ path: `/v1/approvals/${approvalId}/deny` })),
  ],
  'get /v1/decisions/:action_id/explain': [
    notFound('decision_not_found', ({ actionId }) => ({ path: `/v1/decisions/${actionId}/explain` })),
  ],
};

const governance: Record<string, Probe[]> = {
  'post /v1/tools': [
    {
      what: 'is registered for itself',
      ask: ({ tool }, world) => ({ path: '/v1/tools', body: toolOf(world, tool) }),
      status: 200,
      says: { description: null, enabled: true },
    },
    {
      what: 'is new, and so needs a secret',
      ask: ({ tool }) => ({ path: '/v1/tools', body: { name: tool, url: 'https://tools.example.com/x' } }),
      status: 422,
    },
  ],
  'get /v1/tools': [{ what: 'shows none', ask: () => ({ path: '/v1/tools?scope_id=all' }), status: 200, says: [] }],
  'get /v1/tools/:name': [notFound('tool_not_found', ({ tool }) => ({ path: `/v1/tools/${tool}` }))],
  'post /v1/tools/:name/toggle': [
    notFound('tool_not_found', ({ tool }) => ({ path: `/v1/tools/${tool}/toggle`, body: { enabled: false } })),
    {
      what: 'is its own',
      before: ownTool,
      ask: ({ tool }) => ({ path: `/v1/tools/${tool}/toggle`, body: { enabled: false } }),
      status: 200,
      says: { enabled: false },
    },
  ],
  'post /v1/tools/:name/rotate-secret': [
    notFound('tool_not_found', ({ tool }) => ({ path: `/v1/tools/${tool}/rotate-secret` })),
  ],
  'delete /v1/tools/:name': [
    notFound('tool_not_found', ({ tool }) => ({ path: `/v1/tools/${tool}` })),
    { what: 'is its own', before: ownTool, ask: ({ tool }) => ({ path: `/v1/tools/${tool}` }), status: 200 },
  ],
  'post /v1/policies/:agent_id': [
    {
      what: 'gets its first version',
      ask: ({ agent }) => ({ path: `/v1/policies/${agent}`, body: { max_actions_per_hour: 0 } }),
      status: 200,
      says: { policy_version: 1 },
    },
    {
      what: "does not know the other's tools",
      ask: ({ agent, tool }) => ({ path: `/v1/policies/${agent}`, body: { allowed_tools: [tool] } }),
      status: 400,
      says: missing('unknown_tools'),
    },
  ],
  'post /v1/policies/:agent_id/from-template': [
    {
      what: 'gets its first version',
      ask: ({ agent }) => ({ path: `/v1/policies/${agent}/from-template`, body: { template: 'strict' } }),
      status: 200,
      says: { policy_version: 1 },
    },
  ],
  'post /v1/policies/:agent_id/simulate': [
    notFound('tool_not_found', ({ agent, tool }) => ({
      path: `/v1/policies/${agent}/simulate`,
      body: { call: { tool } },
    })),
    {
      what: 'replays no decisions',
      ask: ({ agent }) => ({ path: `/v1/policies/${agent}/simulate`, body: { days: 1 } }),
      status: 200,
      says: { replayed: 0, changes: [] },
    },
  ],
  'get /v1/policies': [{ what: 'shows none', ask: () => ({ path: '/v1/policies' }), status: 200, says: [] }],
  'get /v1/policies/:agent_id': [notFound('policy_not_found', ({ agent }) => ({ path: `/v1/policies/${agent}` }))],
  'post /v1/agents/:agent_id/disable': [
    {
      what: 'is its own, and stops nothing of the other',
      ask: ({ agent }) => ({ path: `/v1/agents/${agent}/disable` }),
      status: 200,
      says: { is_enabled: false, disabled_reason: null, stopped: 0, in_flight: 0 },
    },
  ],
  'post /v1/agents/:agent_id/enable': [
    {
      what: 'is its own',
      ask: ({ agent }) => ({ path: `/v1/agents/${agent}/enable` }),
      status: 200,
      says: { is_enabled: true, disabled_reason: null, disabled_at: null },
    },
  ],
  'get /v1/agents/:agent_id/logs': [
    { what: 'is empty', ask: ({ agent }) => ({ path: `/v1/agents/${agent}/logs` }), status: 200, says: [] },
  ],
  'get /v1/agents/:agent_id/metrics': [
    {
      what: 'counts nothing',
      ask: ({ agent }) => ({ path: `/v1/agents/${agent}/metrics` }),
      status: 200,
      says: { total_actions: 0, blocked_actions: 0, total_spend_usd: 0, top_tools: [] },
    },
  ],
};

const zeros = { usage: 0, requests_total_month: 0, charged_total_month: 0, polling_total_month: 0 };
const made = { type: 'tenant_created', actor: 'operator' };

const account: Record<string, Probe[]> = {
  'post /v1/events': [
    {
      what: 'is an event of its own, under the same Idempotency-Key too',
      ask: ({ run, event }) => ({
        path: '/v1/events',
        body: { run_id: run, type: 'note', message: 'mine' },
        headers: { 'idempotency-key': event },
      }),
      status: 200,
      says: { ok: true },
    },
  ],
  'get /v1/events': [
    { what: 'tells its own', ask: () => ({ path: '/v1/events?limit=500' }), status: 200, says: [{ type: made.type }] },
  ],
  'get /v1/runs': [
    { what: 'counts none', ask: () => ({ path: '/v1/runs' }), status: 200, says: { total: 0, items: [] } },
    {
      what: 'counts none of a prefix',
      ask: ({ run }) => ({ path: `/v1/runs?q=${encodeURIComponent(run)}` }),
      status: 200,
      says: { total: 0, items: [] },
    },
  ],
  'get /v1/runs/:run_id': [notFound('run_not_found', ({ run }) => ({ path: `/v1/runs/${encodeURIComponent(run)}` }))],
  'get /v1/me': [
    {
      what: 'counts its own',
      ask: () => ({ path: '/v1/me' }),
      status: 200,
      says: { requests_total_all_time: 0, blocked_total_all_time: 0 },
    },
  ],
  'post /v1/me/notifications': [
    {
      what: 'are its own',
      ask: () => ({ path: '/v1/me/notifications', body: { email_notifications_enabled: false } }),
      status: 200,
      says: { email_notifications_enabled: false, tool_error_notifications_enabled: true },
    },
  ],
  'get /v1/usage': [{ what: 'is none', ask: () => ({ path: '/v1/usage?kind=ai' }), status: 200, says: zeros }],
  'get /v1/usage/all': [
    { what: 'is none', ask: () => ({ path: '/v1/usage/all' }), status: 200, says: { make: zeros, ai: zeros } },
  ],
  'get /v1/metrics': [
    {
      what: 'are zeros',
      ask: () => ({ path: '/v1/metrics' }),
      status: 200,
      says: Array(30).fill({ checks_total: 0, locks_created: 0, ai_acquired: 0, ai_completed: 0, ai_failed: 0 }),
    },
  ],
  'get /v1/audit': [
    {
      what: 'tells its own',
      ask: () => ({ path: '/v1/audit' }),
      status: 200,
      says: { items: [made], next_cursor: null },
    },
    {
      what: 'tells nothing of an agent, a tool, or behind a cursor',
      ask: ({ agent, tool, auditCursor }) => ({
        path: `/v1/audit?agent_id=${agent}&tool=${tool}&cursor=${auditCursor}`,
      }),
      status: 200,
      says: { items: [], next_cursor: null },
    },
  ],
  'get /v1/keys': [
    { what: 'shows its own', ask: () => ({ path: '/v1/keys' }), status: 200, says: [{ name: 'first' }] },
  ],
  'post /v1/keys': [
    {
      what: 'makes one of its own, under the same Idempotency-Key too',
      ask: ({ event }) => ({ path: '/v1/keys', body: { name: 'mine' }, headers: { 'idempotency-key': event } }),
      status: 201,
      says: { name: 'mine' },
    },
  ],
  'patch /v1/keys/:id': [
    notFound('key_not_found', ({ keyId }) => ({ path: `/v1/keys/${keyId}`, body: { name: 'mine' } })),
  ],
  'post /v1/keys/:id/rotate': [notFound('key_not_found', ({ keyId }) => ({ path: `/v1/keys/${keyId}/rotate` }))],
  'post /v1/kill': [
    notFound('tool_not_found', ({ tool }) => ({ path: '/v1/kill', body: { scope: 'tool', tool } })),
    {
      what: 'is its own, and stops nothing of the other',
      ask: () => ({ path: '/v1/kill', body: { scope: 'tenant' } }),
      status: 200,
      says: { is_killed: true, stopped: 0, stopping: 0, in_flight: 0 },
    },
  ],
  'post /v1/unkill': [
    {
      what: 'is its own',
      ask: () => ({ path: '/v1/unkill', body: { scope: 'tenant' } }),
      status: 200,
      says: { is_killed: false },
    },
  ],
  'get /v1/kill': [
    { what: 'shows nothing', ask: () => ({ path: '/v1/kill' }), status: 200, says: { tenant: null, tools: [] } },
  ],
  'get /v1/settings': [
    { what: 'are its own', ask: () => ({ path: '/v1/settings' }), status: 200, says: { approval_ttl_seconds: 86_400 } },
  ],
  'post /v1/settings': [
    {
      what: 'are its own',
      ask: () => ({ path: '/v1/settings', body: { approval_ttl_seconds: 61 } }),
      status: 200,
      says: { approval_ttl_seconds: 61, default_deny: false },
    },
  ],
  'delete /v1/keys/:id': [notFound('key_not_found', ({ keyId }) => ({ path: `/v1/keys/${keyId}` }))],
  'post /v1/tenants': [
    {
      what: 'is not for it to ask about',
      ask: () => ({ path: '/v1/tenants', body: { tenant: 'default' } }),
      status: 403,
      says: missing('forbidden'),
    },
  ],
};

/** Every route there is: what a tenant gets that asks about the things of another. */
export const probes: Readonly<Record<string, readonly Probe[]>> = { ...locks, ...actions, ...governance, ...account };

/** What no answer may hold, whoever asks. */
export const neverShown: readonly string[] = [SECRET];
