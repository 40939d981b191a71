import { expect } from 'vitest';
import { hangUp, ok } from '../../src/dev/behaviours.ts';
import { eventually } from '../faults/scene.ts';
import { SECRET, unique, type World } from '../stack/world.ts';

/** A POST whose answer gets lost. */
export interface Case {
  /** Its route, as the API has it. */
  readonly route: string;
  readonly what?: string;
  /** Sets the scene, and says what is sent twice. */
  arrange(world: World): Promise<Sent>;
  /** What the repeat answers. */
  readonly status?: number;
  /** How often it is done: once, unless it does nothing. */
  readonly times?: 0;
  readonly answer: Record<string, unknown>;
  /** Fields in which the repeat says what the lost answer said. */
  readonly same?: readonly string[];
}

export interface Sent {
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Counts the work: one more after any number of repeats. */
  readonly count: readonly [sql: string, ...values: unknown[]];
}

const lines = (type: string, column: 'key' | 'agent_id' | 'tool' | 'action_id', value: string): Sent['count'] => [
  `select count(*)::int as n from audit where type = $1 and ${column} = $2`,
  type,
  value,
];
const counter = (kind: string): Sent['count'] => [
  `select coalesce(sum(count), 0)::int as n from (
    select kind, count from usage_days union all select kind, count from usage_increments) counters where kind = $1`,
  kind,
];
const auth = { type: 'hmac_sha256', secret: SECRET };

/** A lease that is held, and the change of it. */
const ofLease =
  (change: string, fields: object, count: (key: string) => Sent['count']) =>
  async (world: World): Promise<Sent> => {
    const key = unique('lease');
    const { lease_id } = (await world.rest.post('/v1/ai/lease', { key, ttl: 60 })).body;
    return { path: `/v1/ai/${change}`, body: { key, lease_id, ...fields }, count: count(key) };
  };

const locks: Case[] = [
  {
    route: '/v1/check-lock',
    what: 'with an owner',
    arrange: async () => {
      const body = { key: unique('lock'), ttl: 60, owner: 'me' };
      return { path: '/v1/check-lock', body, count: counter('locks_created') };
    },
    answer: { success: true, status: 'locked', first_seen_at: null },
  },
  {
    route: '/v1/ai/lease',
    what: 'with an owner',
    arrange: async () => {
      const key = unique('lease');
      return { path: '/v1/ai/lease', body: { key, ttl: 60, owner: 'me' }, count: lines('ai_acquired', 'key', key) };
    },
    answer: { ok: true, status: 'acquired', version: 1, fence: 1 },
    same: ['lease_id'],
  },
  {
    route: '/v1/ai/lease',
    what: 'with an owner in its metadata',
    arrange: async () => {
      const key = unique('lease');
      const body = { key, ttl: 60, metadata: { onceonly_owner: 'me' } };
      return { path: '/v1/ai/lease', body, count: lines('ai_acquired', 'key', key) };
    },
    answer: { ok: true, status: 'acquired', version: 1, fence: 1 },
    same: ['lease_id'],
  },
  {
    route: '/v1/ai/extend',
    // Each repeat renews it once more, which only moves its end: it is one lease, held under one fence.
    arrange: ofLease('extend', { ttl: 600 }, (key) => [
      `select count(*)::int as n from leases where key = $1 and state = 'held' and fence = 1 and ttl = 600`,
      key,
    ]),
    answer: { ok: true, status: 'extended', ttl: 600, fence: 1 },
  },
  {
    route: '/v1/ai/complete',
    arrange: ofLease('complete', { result: { n: 1 } }, (key) => lines('ai_completed', 'key', key)),
    answer: { ok: true, status: 'completed' },
    same: ['done_at', 'version', 'fence'],
  },
  {
    route: '/v1/ai/fail',
    arrange: ofLease('fail', { error_code: 'broken' }, (key) => lines('ai_failed', 'key', key)),
    answer: { status: 'failed', error_code: 'broken' },
    same: ['done_at', 'version', 'fence'],
  },
  {
    route: '/v1/ai/cancel',
    arrange: ofLease('cancel', {}, (key) => lines('ai_canceled', 'key', key)),
    answer: { status: 'failed', error_code: 'canceled' },
    same: ['done_at', 'version', 'fence'],
  },
];

const oneCall = (headersOf: () => Record<string, string>): Case => ({
  route: '/v1/ai/run',
  arrange: async (world) => {
    const tool = await world.tool('charge', ok());
    const body = { agent_id: unique('agent'), tool, args: { n: 1 }, spend_usd: 2 };
    return { path: '/v1/ai/run', body, headers: headersOf(), count: lines('action_executed', 'tool', tool) };
  },
  answer: { ok: true, allowed: true, result: { args: { n: 1 } } },
  same: ['action_id', 'result'],
});

const actions: Case[] = [
  { ...oneCall(() => ({})), what: 'one call' },
  { ...oneCall(() => ({ 'idempotency-key': unique('call') })), what: 'one call with an Idempotency-Key' },
  {
    route: '/v1/ai/run',
    what: 'a run of several, with an owner',
    arrange: async (world) => {
      const [tool, key] = [await world.tool('charge', ok()), unique('run')];
      const metadata = { agent_id: unique('agent'), actions: [{ tool }] };
      return { path: '/v1/ai/run', body: { key, metadata, owner: 'me' }, count: lines('ai_acquired', 'key', key) };
    },
    answer: { ok: true, fence: 1 },
  },
  {
    route: '/v1/actions/:action_id/resolve',
    arrange: async (world) => {
      const tool = await world.tool('breaks', hangUp('before_answer'));
      const { action_id } = (await world.run({ agent_id: unique('agent'), tool })).body;
      return {
        path: `/v1/actions/${action_id}/resolve`,
        body: { outcome: 'executed', result: { charge: 'ch_1' } },
        count: lines('action_executed', 'action_id', action_id),
      };
    },
    answer: { status: 'executed', result: { charge: 'ch_1' } },
    same: ['action_id', 'done_at'],
  },
];

/** A decision on a call that waits for a person: made twice it is refused, saying how it was made (contract, section 9). */
const decision = (name: 'approve' | 'deny', status: string): Case => ({
  route: `/v1/approvals/:approval_id/${name}`,
  status: 409,
  arrange: async (world) => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
    const { action_id } = (await world.run({ agent_id: agent, tool, wait: 0 })).body;
    const { id } = await eventually(async () => {
      const { body } = await world.rest.get('/v1/approvals?status=pending');
      const found = body.find((approval: { action_id: string }) => approval.action_id === action_id);
      expect(found).toBeDefined();
      return found;
    });
    const path = `/v1/approvals/${id}/${name}`;
    return { path, body: { reason: 'seen' }, count: lines(`approval_${status}`, 'action_id', action_id) };
  },
  answer: { detail: { error: 'approval_decided', status } },
});

const governance: Case[] = [
  decision('approve', 'approved'),
  decision('deny', 'denied'),
  {
    route: '/v1/tools',
    what: 'new',
    arrange: async () => {
      const name = unique('tool');
      const body = { name, url: 'https://tools.example.com/x', auth, price_usd: 0.5, input_schema: { type: 'object' } };
      return {
        path: '/v1/tools',
        body,
        count: ["select count(*)::int as n from audit where type like 'tool_%' and tool = $1", name],
      };
    },
    answer: { has_secret: true, price_usd: 0.5 },
    same: ['secret_id', 'created_at', 'updated_at'],
  },
  {
    route: '/v1/tools',
    what: 'changed',
    arrange: async (world) => {
      const name = await world.tool('tool', ok());
      const body = { name, url: 'https://tools.example.com/y', auth: { ...auth, secret: 'another-secret' } };
      return { path: '/v1/tools', body, count: lines('tool_updated', 'tool', name) };
    },
    answer: { url: 'https://tools.example.com/y', secret_mask: '***ret' },
    same: ['secret_id', 'updated_at'],
  },
  {
    route: '/v1/tools/:name/toggle',
    arrange: async (world) => {
      const name = await world.tool('tool', ok());
      return {
        path: `/v1/tools/${name}/toggle`,
        body: { enabled: false },
        count: lines('tool_disabled', 'tool', name),
      };
    },
    answer: { enabled: false },
    same: ['name'],
  },
  {
    route: '/v1/tools/:name/rotate-secret',
    arrange: async (world) => {
      const name = await world.tool('tool', ok());
      return { path: `/v1/tools/${name}/rotate-secret`, count: lines('tool_secret_rotated', 'tool', name) };
    },
    answer: { scope_id: 'global' },
    same: ['secret', 'secret_id', 'previous_valid_until'],
  },
  {
    route: '/v1/policies/:agent_id',
    arrange: async (world) => {
      const [agent, tool] = [unique('agent'), await world.tool('tool', ok())];
      const body = { allowed_tools: [tool], max_calls_per_tool: { [tool]: 3 }, blocked_tools: null };
      return { path: `/v1/policies/${agent}`, body, count: lines('policy_set', 'agent_id', agent) };
    },
    answer: { policy_version: 1 },
    same: ['policy'],
  },
  {
    route: '/v1/policies/:agent_id/from-template',
    arrange: async (world) => {
      const agent = unique('agent');
      await world.rest.post(`/v1/policies/${agent}`, {});
      const path = `/v1/policies/${agent}/from-template`;
      return {
        path,
        body: { template: 'strict' },
        count: ['select count(*)::int as n from policies where agent_id = $1', agent],
      };
    },
    answer: { policy_version: 2 },
    same: ['policy'],
  },
  {
    route: '/v1/policies/:agent_id/simulate',
    times: 0,
    arrange: async (world) => {
      const [agent, tool] = [unique('agent'), await world.tool('tool', ok())];
      const path = `/v1/policies/${agent}/simulate`;
      const body = { policy: { blocked_tools: [tool] }, call: { tool } };
      return { path, body, count: ['select count(*)::int as n from policies where agent_id = $1', agent] };
    },
    answer: { decision: 'blocked', policy_reason: 'tool_explicitly_blocked' },
    same: ['checks'],
  },
  {
    route: '/v1/agents/:agent_id/disable',
    arrange: async () => {
      const agent = unique('agent');
      const path = `/v1/agents/${agent}/disable`;
      return { path, body: { reason: 'enough' }, count: lines('agent_disabled', 'agent_id', agent) };
    },
    answer: { is_enabled: false, disabled_reason: 'enough' },
    same: ['disabled_at'],
  },
  {
    route: '/v1/agents/:agent_id/enable',
    arrange: async (world) => {
      const agent = unique('agent');
      await world.rest.post(`/v1/agents/${agent}/disable`);
      return { path: `/v1/agents/${agent}/enable`, count: lines('agent_enabled', 'agent_id', agent) };
    },
    answer: { is_enabled: true, disabled_at: null },
  },
  {
    route: '/v1/kill',
    arrange: async (world) => {
      const tool = await world.tool('killed', ok());
      return { path: '/v1/kill', body: { scope: 'tool', tool }, count: lines('tool_killed', 'tool', tool) };
    },
    answer: { is_killed: true, stopped: 0, in_flight: 0 },
    same: ['killed_at'],
  },
  {
    route: '/v1/unkill',
    arrange: async (world) => {
      const tool = await world.tool('killed', ok());
      await world.rest.post('/v1/kill', { scope: 'tool', tool });
      return { path: '/v1/unkill', body: { scope: 'tool', tool }, count: lines('tool_unkilled', 'tool', tool) };
    },
    answer: { is_killed: false, killed_at: null },
  },
];

const event = (moment: object, headersOf: () => Record<string, string>): Case => ({
  route: '/v1/events',
  arrange: async () => {
    const run = unique('run');
    return {
      path: '/v1/events',
      body: { run_id: run, type: 'note', message: 'once', data: { b: 1, a: 2 }, ...moment },
      headers: headersOf(),
      count: ['select coalesce(sum(events_count), 0)::int as n from runs where run_id = $1', run],
    };
  },
  answer: { ok: true },
  same: ['event_id', 'run_id'],
});

const account: Case[] = [
  { ...event({ ts: 1_800_000_000 }, () => ({})), what: 'with its ts' },
  { ...event({}, () => ({})), what: 'without one, within a minute' },
  { ...event({}, () => ({ 'idempotency-key': unique('event') })), what: 'with an Idempotency-Key' },
  {
    route: '/v1/me/notifications',
    arrange: async (world) => {
      await world.rest.post('/v1/me/notifications', { email_notifications_enabled: true });
      return {
        path: '/v1/me/notifications',
        body: { email_notifications_enabled: false },
        count: [`select count(*)::int as n from audit where type = 'notifications_set'`],
      };
    },
    answer: { email_notifications_enabled: false, tool_error_notifications_enabled: true },
  },
  {
    route: '/v1/keys',
    status: 201,
    arrange: async () => {
      const name = unique('key');
      return {
        path: '/v1/keys',
        body: { name },
        count: ['select count(*)::int as n from api_keys where name = $1', name],
      };
    },
    answer: { scopes: ['agent'], agent_ids: null },
    same: ['id', 'key', 'created_at'],
  },
  {
    route: '/v1/keys/:id/rotate',
    status: 201,
    arrange: async (world) => {
      const { id } = (await world.rest.post('/v1/keys', { name: unique('key') })).body;
      return {
        path: `/v1/keys/${id}/rotate`,
        body: { overlap_seconds: 60 },
        count: ['select generation as n from api_keys where id = $1', id],
      };
    },
    answer: { scopes: ['agent'] },
    same: ['id', 'key', 'previous_valid_until'],
  },
  {
    route: '/v1/settings',
    arrange: async (world) => {
      await world.rest.post('/v1/settings', { approval_ttl_seconds: 86_400 });
      return {
        path: '/v1/settings',
        body: { approval_ttl_seconds: 600 },
        count: [`select count(*)::int as n from audit where type = 'settings_changed'`],
      };
    },
    answer: { default_deny: false, approval_ttl_seconds: 600 },
  },
  {
    route: '/v1/tenants',
    what: 'with an Idempotency-Key',
    status: 201,
    arrange: async () => {
      const tenant = unique('tenant');
      return {
        path: '/v1/tenants',
        body: { tenant },
        headers: { 'idempotency-key': unique('tenant') },
        count: ['select count(*)::int as n from api_keys where tenant = $1', tenant],
      };
    },
    answer: {},
    same: ['tenant', 'api_key'],
  },
];

/** Every POST there is, at least once. */
export const cases: readonly Case[] = [...locks, ...actions, ...governance, ...account];
