import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hangUp, ok } from '../../src/dev/behaviours.ts';
import type { Behaviour } from '../../src/dev/receiver.ts';
import { leaseWorkflowId, lockWorkflowId, runWorkflowId } from '../../src/domain/workflow-id.ts';
import { startProcess } from '../stack/product.ts';
import { createRest, type Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { actionThatIs, callsOf, eventually, gate, ledgerOf, temporalOf } from './scene.ts';

let world: World;
let temporal: ReturnType<typeof temporalOf>;
async function build(everySeconds: string) {
  world = await buildWorld({ roles: ['api', 'worker'], env: { RECONCILE_SECONDS: everySeconds } });
  temporal = temporalOf(world);
}
async function demolish() {
  await world?.close();
  // Nobody is left to make its rounds.
  const schedule = temporal?.schedule.getHandle(`onceonly/reconcile/${world.env.TEMPORAL_TASK_QUEUE}`);
  await schedule?.delete().catch(() => undefined);
  await temporal?.connection.close();
}

/** What an operator does in the Temporal UI. */
const terminate = (workflowId: string) => temporal.workflow.getHandle(workflowId).terminate('by an operator');
const isClosed = async (workflowId: string) =>
  (await temporal.workflow.getHandle(workflowId).describe()).status.name !== 'RUNNING';

const later =
  (status: number): Behaviour =>
  () => ({ status, headers: { 'retry-after': '3600' } });

const actionOf = async (id: string) => (await world.rest.get(`/v1/actions/${id}`)).body;
const approvalOf = async (action: string) =>
  (await world.rest.get(`/v1/approvals/${action.replace('act_', 'apr_')}`)).body;
const decide = (action: string, how: 'approve' | 'deny') =>
  world.rest.post(`/v1/approvals/${action.replace('act_', 'apr_')}/${how}`, { actor: 'ada' });
const resolve = (action: string, outcome: 'executed' | 'not_executed', result?: object) =>
  world.rest.post(`/v1/actions/${action}/resolve`, { outcome, result });
const linesOf = async (what: 'key' | 'action_id', value: string) =>
  (await world.query(`select type from audit where ${what} = $1 order by id`, [value])).map(({ type }) => type);

interface Called {
  readonly agent: string;
  readonly tool: string;
  readonly call: Record<string, unknown>;
  readonly action: string;
  readonly workflow: string;
}

/** A call of a tool that behaves so, of which its caller has heard that it is accepted. */
async function called(behaviour: Behaviour, { fields = {}, policy }: { fields?: object; policy?: object } = {}) {
  const [agent, tool] = [unique('agent'), await world.tool('charge', behaviour, { ...fields })];
  if (policy !== undefined) await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool], ...policy });
  const call = { agent_id: agent, tool, args: { n: 1 }, spend_usd: 2 };
  const { status, body } = await world.run({ ...call, ...(policy === undefined && { wait: 0 }) });
  expect([status, body.decision]).toEqual([202, 'pending']);
  return { agent, tool, call, action: body.action_id, workflow: body.workflow_id } as Called;
}
const askedFor = () => called(ok(), { policy: {} });

/** Once an attempt has ended and the action waits for the next. */
const betweenAttempts = (action: string) =>
  eventually(async () => {
    const { status, attempts } = await actionOf(action);
    expect([status, attempts.length, attempts[0]?.ended_at]).toEqual(['running', 1, expect.any(String)]);
  });

async function inDoubt() {
  const scene = await called(hangUp('before_answer'));
  await actionThatIs(world, scene.action, 'in_doubt');
  return scene;
}

/** How it comes to light that a workflow is gone: somebody reads, or nobody does and the reconciler comes round. */
interface Way {
  readonly way: string;
  readonly everySeconds: string;
  readonly ofAction: (action: string) => Promise<unknown>;
  readonly ofLease: (key: string) => Promise<unknown>;
}

const ways: Way[] = [
  {
    way: 'is told at once to who reads',
    everySeconds: '3600',
    ofAction: async (action) => await actionOf(action),
    // A process that has seen the lease's workflow lately does not ask again for 15 s; another one does.
    ofLease: async (key) => {
      const rest = await anotherApi();
      expect((await rest.get(`/v1/ai/status?key=${key}`)).body).toMatchObject({ error_code: 'canceled' });
    },
  },
  {
    way: 'is found though nobody reads',
    everySeconds: '1',
    ofAction: async (action) => {
      // What is young is not looked at.
      await world.query(`update actions set created_at = created_at - interval '1 minute' where action_id = $1`, [
        action,
      ]);
      await eventually(async () => {
        const [row] = await world.query('select status from actions where action_id = $1', [action]);
        expect(['running', 'waiting_approval']).not.toContain(row?.status);
      });
    },
    ofLease: async (key) => {
      await world.query(`update leases set first_seen_at = first_seen_at - interval '1 minute' where key = $1`, [key]);
      await eventually(async () => {
        const [row] = await world.query('select state from leases where key = $1', [key]);
        expect(row?.state).not.toBe('held');
      });
    },
  },
];

const others: Array<{ kill(signal: NodeJS.Signals): Promise<unknown> }> = [];
async function anotherApi(): Promise<Rest> {
  const other = await startProcess({ role: 'api', env: world.env });
  others.push(other);
  return createRest(other.url, world.env.ONCEONLY_BOOTSTRAP_KEY);
}
afterAll(async () => {
  for (const other of others) await other.kill('SIGTERM');
});

describe.each(ways)('that an operator has terminated a workflow $way', ({ everySeconds, ofAction, ofLease }) => {
  beforeAll(() => build(everySeconds));
  afterAll(demolish);

  describe('a lease', () => {
    async function terminatedLease() {
      const key = unique('lease');
      const { body } = await world.rest.post('/v1/ai/lease', { key, ttl: 600 });
      expect(body).toMatchObject({ status: 'acquired', fence: 1 });
      await terminate(leaseWorkflowId('default', key));
      await ofLease(key);
      return { key, held: { key, lease_id: body.lease_id } };
    }

    test('is canceled: its key is free with a higher fence, and its holder hears that it has lost it', async () => {
      const { key, held } = await terminatedLease();
      expect((await world.rest.get(`/v1/ai/status?key=${key}`)).body).toMatchObject({
        status: 'failed',
        error_code: 'canceled',
      });
      for (const [how, more] of [
        ['extend', {}],
        ['complete', { result: { done: true } }],
        ['fail', { error_code: 'late' }],
      ] as const) {
        const late = await world.rest.post(`/v1/ai/${how}`, { ...held, ...more });
        expect([how, late.status, late.body.detail.error]).toEqual([how, 409, 'lease_not_active']);
      }
      expect(await linesOf('key', key)).toEqual(['ai_acquired', 'ai_canceled']);

      const again = await world.rest.post('/v1/ai/lease', { key, ttl: 600 });
      expect(again.body).toMatchObject({ status: 'acquired', fence: 2, charged: 1 });
      const stale = await world.rest.post('/v1/ai/complete', { ...held, result: {} });
      expect([stale.status, stale.body.detail.error]).toEqual([409, 'lease_mismatch']);
      const mine = await world.rest.post('/v1/ai/complete', { key, lease_id: again.body.lease_id, result: { n: 2 } });
      expect(mine.body).toMatchObject({ status: 'completed' });
      expect((await world.rest.get(`/v1/ai/result?key=${key}`)).body).toMatchObject({ result: { n: 2 } });
    });
  });

  describe('an action that waits for approval', () => {
    test('is failed: nothing was called, nothing is held, and nobody can approve it any more', async () => {
      const { agent, tool, call, action, workflow } = await askedFor();
      await terminate(workflow);
      await ofAction(action);
      expect(await actionOf(action)).toMatchObject({
        status: 'failed',
        decision: 'failed',
        result: { error: 'workflow_gone' },
        spend_usd: 0,
        done_at: expect.any(String),
      });
      expect(await approvalOf(action)).toMatchObject({ status: 'expired', decided_by: null });
      for (const how of ['approve', 'deny'] as const) {
        const { status, body } = await decide(action, how);
        expect([how, status, body.detail.error]).toEqual([how, 409, 'approval_decided']);
      }
      expect((await actionOf(action)).status).toBe('failed');
      expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
      expect(await linesOf('action_id', action)).toEqual(['approval_requested', 'action_failed']);
      // Its key is free: the same call is asked for anew.
      const { body: again } = await world.run(call);
      expect(again).toMatchObject({ decision: 'pending', policy_reason: 'approval_required' });
      expect(again.action_id).not.toBe(action);
      expect((await decide(again.action_id, 'approve')).status).toBe(200);
      await actionThatIs(world, again.action_id, 'executed');
      expect(callsOf(world, tool).map(({ idempotencyKey }) => idempotencyKey)).toEqual([again.action_id]);
    });
  });

  describe('an action between two attempts', () => {
    test('is failed where none can have acted: its money and its key are free', async () => {
      let busy = true;
      const work = ok();
      const { agent, tool, call, action, workflow } = await called((received, n) =>
        busy ? later(429)(received, n) : work(received, n),
      );
      await betweenAttempts(action);
      expect(await ledgerOf(world, agent)).toEqual({ held: 2, spent: 0 });
      await terminate(workflow);
      await ofAction(action);
      expect(await actionOf(action)).toMatchObject({
        status: 'failed',
        result: { error: 'workflow_gone' },
        spend_usd: 0,
        attempts: [{ n: 1, outcome: 'retry', http_status: 429 }],
      });
      expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
      expect(await linesOf('action_id', action)).toEqual(['action_admitted', 'action_failed']);
      busy = false;
      const { body } = await world.run(call);
      expect(body).toMatchObject({ ok: true, decision: 'executed' });
      expect(body.action_id).not.toBe(action);
      expect(callsOf(world, tool).map(({ fence }) => fence)).toEqual([1, 2]);
      expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
    });

    test('is in doubt where one may have acted: its money stays held and its key taken until somebody says', async () => {
      const { agent, tool, call, action, workflow } = await called(later(500), { fields: { idempotent: true } });
      await betweenAttempts(action);
      await terminate(workflow);
      await ofAction(action);
      expect(await actionOf(action)).toMatchObject({ status: 'in_doubt', policy_reason: 'in_doubt', spend_usd: 2 });
      expect(await ledgerOf(world, agent)).toEqual({ held: 2, spent: 0 });
      expect((await world.run(call)).body).toMatchObject({ ok: false, decision: 'in_doubt', action_id: action });
      expect((await resolve(action, 'not_executed')).body).toMatchObject({ status: 'failed' });
      expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
      expect(await linesOf('action_id', action)).toEqual([
        'action_admitted',
        'action_in_doubt',
        'action_in_doubt',
        'action_failed',
      ]);
      expect(callsOf(world, tool)).toHaveLength(1);
    });
  });

  describe.each([
    ['quick', 15_000],
    ['slow', 60_000],
  ])('an action whose %s tool is at it', (_which, timeout_ms) => {
    test('is in doubt until the late answer comes, which settles it', async () => {
      const door = gate();
      const { agent, tool, call, action, workflow } = await called(door.behaviour, { fields: { timeout_ms } });
      await door.arrived;
      await terminate(workflow);
      await ofAction(action);
      expect(await actionOf(action)).toMatchObject({ status: 'in_doubt', spend_usd: 2, done_at: null });
      expect(await ledgerOf(world, agent)).toEqual({ held: 2, spent: 0 });
      expect((await world.run(call)).body).toMatchObject({ decision: 'in_doubt', action_id: action });
      door.open();
      expect(await actionThatIs(world, action, 'executed')).toMatchObject({
        result: { args: { n: 1 } },
        spend_usd: 2,
        attempts: [{ n: 1, outcome: 'executed', http_status: 200, ended_at: expect.any(String) }],
      });
      expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
      expect((await world.run(call)).body).toMatchObject({ ok: true, decision: 'dedup', action_id: action });
      expect(callsOf(world, tool)).toHaveLength(1);
    });
  });

  describe('an action in doubt', () => {
    /** Until both ways have looked: what is terminated beside it has been found. */
    async function lookedAround(action: string) {
      await actionOf(action);
      const beside = await askedFor();
      await terminate(beside.workflow);
      await ofAction(beside.action);
    }

    test.each([
      ['executed', { charge: 'ch_1' }, { held: 0, spent: 2 }],
      ['not_executed', undefined, { held: 0, spent: 0 }],
    ] as const)('stays in doubt, and is settled by who says %s', async (outcome, result, ledger) => {
      const { agent, tool, call, action, workflow } = await inDoubt();
      await terminate(workflow);
      await lookedAround(action);
      expect(await actionOf(action)).toMatchObject({ status: 'in_doubt', spend_usd: 2 });
      expect(await ledgerOf(world, agent)).toEqual({ held: 2, spent: 0 });
      const settled = await resolve(action, outcome, result);
      expect([settled.status, settled.body.status]).toEqual([200, outcome === 'executed' ? 'executed' : 'failed']);
      expect(await ledgerOf(world, agent)).toEqual(ledger);
      expect((await resolve(action, outcome, result)).status).toBe(200);
      const { body: repeat } = await world.run(call);
      if (outcome === 'executed') expect(repeat).toMatchObject({ decision: 'dedup', action_id: action, result });
      // The key is free: this is a call of its own, and its answer is lost as well.
      else expect(repeat).toMatchObject({ decision: 'in_doubt', action_id: expect.not.stringContaining(action) });
      expect(callsOf(world, tool)).toHaveLength(outcome === 'executed' ? 1 : 2);
    });
  });

  describe('a run', () => {
    async function terminatedRun() {
      const [door, key, agent] = [gate(), unique('run'), unique('agent')];
      const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
      const last = await world.tool('last', ok());
      const metadata = { agent_id: agent, actions: [{ tool, spend_usd: 2 }, { tool: last }] };
      const { body } = await world.rest.post('/v1/ai/run', { key, ttl: 600, metadata });
      expect(body).toMatchObject({ status: 'acquired', fence: 1 });
      await door.arrived;
      await terminate(runWorkflowId('default', key));
      await ofLease(key);
      return { key, agent, tool, last, metadata, door, held: { key, lease_id: body.lease_id } };
    }

    test('is canceled: what is under way settles by itself, no other action is made, and the key is free', async () => {
      const { key, agent, tool, last, metadata, door, held } = await terminatedRun();
      expect((await world.rest.get(`/v1/ai/result?key=${key}`)).body).toMatchObject({
        status: 'failed',
        error_code: 'canceled',
      });
      expect((await world.rest.post('/v1/ai/extend', held)).body.detail.error).toBe('lease_not_active');
      expect(await linesOf('key', key)).toEqual(['ai_acquired', 'ai_canceled']);
      expect((await world.rest.get(`/v1/actions?agent_id=${agent}`)).body.items).toMatchObject([{ status: 'running' }]);
      door.open();
      await eventually(async () =>
        expect((await world.rest.get(`/v1/actions?agent_id=${agent}`)).body.items).toMatchObject([
          { status: 'executed', spend_usd: 2 },
        ]),
      );
      expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
      expect(callsOf(world, last)).toEqual([]);

      const again = await world.rest.post('/v1/ai/run', { key, ttl: 600, metadata });
      expect(again.body).toMatchObject({ status: 'acquired', fence: 2 });
      const end = await eventually(async () => {
        const { body } = await world.rest.get(`/v1/ai/result?key=${key}`);
        expect(body.status).toBe('completed');
        return body;
      });
      expect(end.result.actions).toMatchObject([{ decision: 'dedup' }, { decision: 'executed' }]);
      expect([tool, last].map((name) => callsOf(world, name).length)).toEqual([1, 1]);
    });

    test('makes no further attempt of an action that waits for its next one', async () => {
      const [key, agent] = [unique('run'), unique('agent')];
      const answered: string[] = [];
      const tool = await world.tool('busy', ({ idempotencyKey }) => {
        answered.push(idempotencyKey);
        return { status: 429, headers: { 'retry-after': '8' } };
      });
      const actions = [{ tool, spend_usd: 2 }];
      await world.rest.post('/v1/ai/run', { key, ttl: 600, metadata: { agent_id: agent, actions } });
      const action = await eventually(async () => {
        const [found] = (await world.rest.get(`/v1/actions?agent_id=${agent}`)).body.items;
        expect(found).toBeDefined();
        return found.action_id as string;
      });
      await betweenAttempts(action);
      await terminate(runWorkflowId('default', key));
      await ofLease(key);
      expect(await actionThatIs(world, action, 'failed')).toMatchObject({ result: { error: 'run_over' } });
      expect(answered).toEqual([action]);
      expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
    });

    test('ends an action that waits for approval', async () => {
      const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('refund', ok())];
      await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
      await world.rest.post('/v1/ai/run', { key, ttl: 600, metadata: { agent_id: agent, actions: [{ tool }] } });
      const asked = await eventually(async () => {
        const [found] = (await world.rest.get(`/v1/approvals?status=pending&agent_id=${agent}`)).body;
        expect(found).toBeDefined();
        return found as { action_id: string };
      });
      await terminate(runWorkflowId('default', key));
      await ofLease(key);
      expect((await approvalOf(asked.action_id)).status).toBe('expired');
      expect((await decide(asked.action_id, 'approve')).status).toBe(409);
      await world.query(`update actions set created_at = created_at - interval '1 minute' where action_id = $1`, [
        asked.action_id,
      ]);
      await eventually(
        async () => expect((await actionOf(asked.action_id)).status).not.toBe('waiting_approval'),
        20_000,
      );
      expect(callsOf(world, tool)).toEqual([]);
    });

    test('has an end on its timeline', async () => {
      const { key, door } = await terminatedRun();
      door.open();
      await eventually(async () => {
        const { body } = await world.rest.get(`/v1/runs/${key}`);
        const ends = body.events.filter(({ type }: { type: string }) => type === 'run_finished');
        expect(ends).toMatchObject([{ status: 'canceled' }]);
      }, 20_000);
    });
  });
});

describe('without a look before', () => {
  beforeAll(() => build('3600'));
  afterAll(demolish);

  test('a lock whose workflow is terminated is free, but for the process that knows it as taken', async () => {
    const key = unique('lock');
    const check = (rest: Rest) => rest.post('/v1/check-lock', { key, ttl: 600 });
    expect((await check(world.rest)).body.status).toBe('locked');
    await terminate(lockWorkflowId('default', key));
    expect((await check(world.rest)).body).toMatchObject({ status: 'duplicate', first_seen_at: expect.any(String) });
    const other = await anotherApi();
    expect((await check(other)).body).toMatchObject({ success: true, status: 'locked', first_seen_at: null });
    expect((await check(other)).body.status).toBe('duplicate');
    expect((await check(world.rest)).body.status).toBe('duplicate');
  });

  test.each(['approve', 'deny'] as const)('who would %s what is terminated is told that it is over', async (how) => {
    const { agent, tool, action, workflow } = await askedFor();
    await terminate(workflow);
    const { status, body } = await decide(action, how);
    expect([status, body.detail.error]).toEqual([409, 'approval_decided']);
    expect(await actionOf(action)).toMatchObject({ status: 'failed', result: { error: 'workflow_gone' } });
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
    expect(callsOf(world, tool)).toEqual([]);
  });

  test('a repeat of a call whose workflow is terminated is a call of its own', async () => {
    const { call, action, workflow } = await askedFor();
    await terminate(workflow);
    const { body } = await world.run(call);
    expect(body).toMatchObject({ decision: 'pending', policy_reason: 'approval_required' });
    expect(body.action_id).not.toBe(action);
    expect((await actionOf(action)).status).toBe('failed');
  });

  test('who polls a lease that is terminated acquires it in the end, from the very process that gave it', async () => {
    const key = unique('lease');
    await world.rest.post('/v1/ai/lease', { key, ttl: 600 });
    await terminate(leaseWorkflowId('default', key));
    await eventually(async () =>
      expect((await world.rest.post('/v1/ai/lease', { key, ttl: 600 })).body).toMatchObject({
        status: 'acquired',
        fence: 2,
      }),
    );
  });

  test('a call that waits while its tool is deleted ends when it is approved', async () => {
    const { agent, tool, call, action, workflow } = await askedFor();
    expect((await world.rest.delete(`/v1/tools/${tool}`)).status).toBe(200);
    expect([200, 409]).toContain((await decide(action, 'approve')).status);
    expect(await actionThatIs(world, action, 'failed')).toMatchObject({ result: { error: 'tool_deleted' } });
    expect((await approvalOf(action)).status).not.toBe('pending');
    expect((await world.rest.get(`/v1/approvals?status=pending&agent_id=${agent}`)).body).toEqual([]);
    await eventually(async () => expect(await isClosed(workflow)).toBe(true));
    expect((await world.run(call)).body.detail.error).toBe('tool_not_found');
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
    expect(callsOf(world, tool)).toEqual([]);
  });
});

describe('a decision that is taken while no worker is there', () => {
  beforeAll(() => build('3600'));
  afterAll(demolish);

  test('to approve: holds at once, and the call is made once when one comes', async () => {
    const { agent, tool, call, action } = await askedFor();
    await world.kill('worker', 'SIGKILL');
    const decided = await decide(action, 'approve');
    expect([decided.status, decided.body.status]).toEqual([200, 'approved']);
    expect((await decide(action, 'deny')).status).toBe(409);
    expect(callsOf(world, tool)).toEqual([]);
    await world.start('worker');
    expect(await actionThatIs(world, action, 'executed')).toMatchObject({ spend_usd: 2 });
    expect((await world.run(call)).body).toMatchObject({ decision: 'dedup', action_id: action });
    expect(callsOf(world, tool)).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
  });

  test('to deny: ends the call at once, and it is not made when one comes', async () => {
    const { agent, tool, action, workflow } = await askedFor();
    await world.kill('worker', 'SIGKILL');
    const decided = await decide(action, 'deny');
    expect([decided.status, decided.body.status]).toEqual([200, 'denied']);
    expect(await actionOf(action)).toMatchObject({ status: 'blocked', policy_reason: 'approval_denied' });
    expect((await decide(action, 'approve')).status).toBe(409);
    await world.start('worker');
    await eventually(async () => expect(await isClosed(workflow)).toBe(true));
    expect(callsOf(world, tool)).toEqual([]);
    expect((await actionOf(action)).status).toBe('blocked');
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
  });

  test.each([
    ['executed', 'executed', { held: 0, spent: 2 }],
    ['not_executed', 'failed', { held: 0, spent: 0 }],
  ] as const)('to resolve as %s: settles the call at once', async (outcome, status, ledger) => {
    const { agent, tool, action, workflow } = await inDoubt();
    await world.kill('worker', 'SIGKILL');
    const settled = await resolve(action, outcome);
    expect([settled.status, settled.body.status]).toEqual([200, status]);
    expect(await ledgerOf(world, agent)).toEqual(ledger);
    await world.start('worker');
    await eventually(async () => expect(await isClosed(workflow)).toBe(true));
    expect(callsOf(world, tool)).toHaveLength(1);
    expect((await actionOf(action)).status).toBe(status);
  });
});

describe('a decision of which the workflow was never told', () => {
  beforeAll(() => build('1'));
  afterAll(demolish);

  // As a process leaves it that dies between its commit and its word to the workflow.
  const decidedSilently = (action: string) =>
    world.query(
      `with old as (update actions set created_at = created_at - interval '1 minute' where action_id = $1)
       update approvals set status = 'approved', decided_at = now(), decided_by = 'key_gone' where action_id = $1`,
      [action],
    );

  test('to approve is carried out once', async () => {
    const { agent, tool, action } = await askedFor();
    await decidedSilently(action);
    await actionThatIs(world, action, 'executed');
    expect(callsOf(world, tool)).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
  });

  const disabledSilently = (agent: string, action: string) =>
    world.query(
      `with old as (update actions set created_at = created_at - interval '1 minute' where action_id = $2)
       update agents set is_enabled = false, disabled_at = now() where agent_id = $1`,
      [agent, action],
    );

  test('to disable its agent stops what waits for approval', async () => {
    const { agent, tool, action, workflow } = await askedFor();
    await disabledSilently(agent, action);
    expect(await actionThatIs(world, action, 'blocked')).toMatchObject({ policy_reason: 'agent_disabled' });
    await eventually(async () => expect(await isClosed(workflow)).toBe(true));
    expect(callsOf(world, tool)).toEqual([]);
  });

  test('to disable its agent stops what waits for its next attempt, and the call can be made again later', async () => {
    let busy = true;
    const work = ok();
    const { agent, tool, call, action } = await called((received, n) =>
      busy ? later(429)(received, n) : work(received, n),
    );
    await betweenAttempts(action);
    await disabledSilently(agent, action);
    expect(await actionThatIs(world, action, 'blocked')).toMatchObject({ policy_reason: 'agent_disabled' });
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
    busy = false;
    await world.rest.post(`/v1/agents/${agent}/enable`, {});
    await eventually(async () => {
      const { status, body } = await world.run(call);
      expect([status, body.decision]).toEqual([200, 'executed']);
    }, 30_000);
    expect(callsOf(world, tool)).toHaveLength(2);
  });
});

describe('the reconciler', () => {
  beforeAll(() => build('1'));
  afterAll(demolish);

  test('is kept from no row by another that cannot be settled, which is settled once it can be', async () => {
    const { action, workflow } = await askedFor();
    const key = unique('lease');
    await world.rest.post('/v1/ai/lease', { key, ttl: 600 });
    await world.query(`create function broken() returns trigger language plpgsql as $$ begin raise 'broken'; end $$`);
    await world.query(
      `create trigger broken before update of status on actions
       for each row when (old.action_id = '${action}') execute function broken()`,
    );
    await terminate(workflow);
    await terminate(leaseWorkflowId('default', key));
    await world.query(`update actions set created_at = created_at - interval '1 minute' where action_id = $1`, [
      action,
    ]);
    await world.query(`update leases set first_seen_at = first_seen_at - interval '1 minute' where key = $1`, [key]);
    await eventually(async () => {
      expect(await world.query('select state from leases where key = $1', [key])).toEqual([{ state: 'canceled' }]);
    });
    await world.query('drop trigger broken on actions');
    await eventually(async () => {
      const rows = await world.query('select status from actions where action_id = $1', [action]);
      expect(rows).toEqual([{ status: 'failed' }]);
    });
  });
});
