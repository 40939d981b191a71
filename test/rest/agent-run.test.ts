import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, hangUp, ok } from '../../src/dev/behaviours.ts';
import { runWorkflowId } from '../../src/domain/workflow-id.ts';
import { actionThatIs, callsOf, eventually, gate, ledgerOf, temporalOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const run = (key: string, metadata?: object, fields: object = {}) =>
  world.rest.post('/v1/ai/run', { key, metadata, ...fields });
const status = async (key: string) => (await world.rest.get(`/v1/ai/status?key=${encodeURIComponent(key)}`)).body;
const result = async (key: string) => (await world.rest.get(`/v1/ai/result?key=${encodeURIComponent(key)}`)).body;

/** The run's result, once it has ended. */
const ended = (key: string) =>
  eventually(async () => {
    const body = await result(key);
    expect(['completed', 'failed']).toContain(body.status);
    return body;
  });

async function scene() {
  return { key: unique('run'), agent: unique('agent'), tool: await world.tool('charge', ok()) };
}

describe('a run of several actions', () => {
  test('answers as a lease at once, makes its actions in order, and keeps what they led to', async () => {
    const { key, agent, tool } = await scene();
    const actions = [1, 2, 2].map((n) => ({ tool, args: { n, run_id: 'ignored' }, spend_usd: n }));
    const { status: code, body } = await run(
      key,
      { agent_id: agent, actions, note: 'kept by the client' },
      { ttl: 60 },
    );
    expect(code).toBe(200);
    expect(body).toMatchObject({ ok: true, status: 'acquired', key, ttl: 60, ttl_left: null, version: 1, charged: 1 });
    expect(body.lease_id).toMatch(/^lease_/);
    expect(body).not.toHaveProperty('allowed');
    expect(body).not.toHaveProperty('decision');

    const end = await ended(key);
    expect(end).toMatchObject({ ok: true, status: 'completed', key, error_code: null });
    expect(end.result.actions).toMatchObject(
      [1, 2, 2].map((n) => ({ decision: 'executed', spend_usd: n, run_id: key })),
    );
    // Two equal actions in one list both run: their place is part of their key.
    expect(callsOf(world, tool).map((call) => call.body.args)).toEqual([{ n: 1 }, { n: 2 }, { n: 2 }]);
    expect(await status(key)).toMatchObject({ status: 'completed', lease_id: null });
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 5 });
  });

  test('is not made again by a repeat, while it goes on and after it has ended', async () => {
    const [door, key, agent] = [gate(), unique('run'), unique('agent')];
    const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
    const metadata = { agent_id: agent, actions: [{ tool }] };
    const mine = await run(key, metadata, { owner: 'me' });
    await door.arrived;
    expect((await run(key, metadata)).body).toMatchObject({ status: 'polling', lease_id: null, charged: 0 });
    const again = await run(key, metadata, { owner: 'me' });
    expect(again.body).toMatchObject({ status: 'acquired', lease_id: mine.body.lease_id, charged: 0 });
    expect(await status(key)).toMatchObject({ status: 'in_progress', lease_id: null, retry_after_sec: 1 });
    expect(await result(key)).toMatchObject({ status: 'in_progress', result: null });
    door.open();
    await ended(key);
    expect((await run(key, metadata)).body).toMatchObject({ status: 'completed', charged: 0 });
    expect(callsOf(world, tool)).toHaveLength(1);
  });

  test('writes one timeline, under the name it is given', async () => {
    const { key, agent, tool } = await scene();
    const runId = unique('timeline');
    await run(key, { agent_id: agent, run_id: runId, actions: [{ tool }, { tool }] });
    await ended(key);
    const { body } = await world.rest.get(`/v1/runs/${runId}`);
    expect(body.events.map(({ type }: { type: string }) => type)).toEqual([
      'run_started',
      'tool_call',
      'tool_result',
      'tool_call',
      'tool_result',
      'run_finished',
    ]);
    expect(body.events.at(-1)).toMatchObject({ status: 'ok', agent_id: agent });
    expect((await world.rest.get(`/v1/runs?q=${runId}`)).body.items).toMatchObject([
      { run_id: runId, last_type: 'run_finished', events_count: 6 },
    ]);
  });

  test('without actions completes with an empty list', async () => {
    for (const metadata of [undefined, null, {}, { actions: [] }]) {
      const key = unique('run');
      expect((await world.rest.post('/v1/ai/run', { key, metadata })).body.status).toBe('acquired');
      expect(await ended(key)).toMatchObject({ status: 'completed', result: { actions: [] } });
    }
  });

  test('makes the first 50 actions', async () => {
    const { key, agent, tool } = await scene();
    const more = [...Array(50).fill({ tool }), 'not even an action'];
    await run(key, { agent_id: agent, actions: more });
    expect((await ended(key)).result.actions).toHaveLength(50);
    expect(callsOf(world, tool)).toHaveLength(50);
  });
});

describe('a run ends with the first action', () => {
  test('that is blocked', async () => {
    const { key, agent, tool } = await scene();
    await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: 1 });
    await run(key, { agent_id: agent, actions: [{ tool }, { tool, spend_usd: 2 }, { tool }] });
    const end = await ended(key);
    expect(end).toMatchObject({ ok: false, status: 'failed', error_code: 'policy_blocked' });
    expect(end.result.actions).toMatchObject([
      { decision: 'executed' },
      { decision: 'blocked', policy_reason: 'max_spend_usd_per_day_exceeded', allowed: false },
    ]);
    expect(callsOf(world, tool)).toHaveLength(1);
    const { body } = await world.rest.get(`/v1/runs/${key}`);
    expect(body.events.at(-1)).toMatchObject({ type: 'run_finished', status: 'error', message: 'policy_blocked' });
  });

  test('that fails', async () => {
    const { key, agent, tool } = await scene();
    const broken = await world.tool('broken', fail(400));
    await run(key, { agent_id: agent, actions: [{ tool: broken }, { tool }] });
    const end = await ended(key);
    expect(end).toMatchObject({ status: 'failed', error_code: 'tool_error' });
    expect(end.result.actions).toMatchObject([{ decision: 'failed', ok: false }]);
    expect(callsOf(world, tool)).toHaveLength(0);
  });

  test('whose tool is unknown', async () => {
    const { key, agent, tool } = await scene();
    await run(key, { agent_id: agent, actions: [{ tool }, { tool: 'nobody.knows' }, { tool }] });
    const end = await ended(key);
    expect(end).toMatchObject({ status: 'failed', error_code: 'tool_not_found' });
    expect(end.result.actions).toMatchObject([{ decision: 'executed' }]);
    expect(callsOf(world, tool)).toHaveLength(1);
  });

  test('that is in doubt, and goes on from there once that is settled and it is asked to', async () => {
    const { key, agent, tool } = await scene();
    const doubtful = await world.tool('doubtful', hangUp('before_answer'));
    const metadata = { agent_id: agent, actions: [{ tool: doubtful, spend_usd: 2 }, { tool }] };
    await run(key, metadata);
    const end = await ended(key);
    expect(end).toMatchObject({ status: 'failed', error_code: 'in_doubt' });
    const [{ action_id, decision }] = end.result.actions;
    expect(decision).toBe('in_doubt');
    expect((await run(key, metadata)).body).toMatchObject({ status: 'failed', error_code: 'in_doubt' });
    await world.rest.post(`/v1/actions/${action_id}/resolve`, { outcome: 'executed', result: { charge: 'ch_1' } });
    expect((await run(key, metadata, { retry_failed: true })).body).toMatchObject({ status: 'acquired', fence: 2 });
    expect((await ended(key)).result.actions).toMatchObject([
      { decision: 'dedup', action_id, result: { charge: 'ch_1' } },
      { decision: 'executed' },
    ]);
    expect(callsOf(world, doubtful)).toHaveLength(1);
  });
});

describe('the holder of a run', () => {
  const underWay = async () => {
    const [door, key, agent] = [gate(), unique('run'), unique('agent')];
    const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
    const { body } = await run(key, { agent_id: agent, actions: [{ tool }, { tool }] }, { ttl: 60 });
    await door.arrived;
    return { door, key, agent, tool, held: { key, lease_id: body.lease_id } };
  };

  test('may extend it', async () => {
    const { door, key, held } = await underWay();
    expect((await world.rest.post('/v1/ai/extend', { ...held, ttl: 120 })).body).toMatchObject({
      ttl: 120,
      version: 2,
    });
    door.open();
    expect(await ended(key)).toMatchObject({ status: 'completed' });
  });

  test('may cancel it: what is under way is finished, nothing else is begun, and the key is free', async () => {
    const { door, key, agent, tool, held } = await underWay();
    expect((await world.rest.post('/v1/ai/cancel', held)).body).toMatchObject({ error_code: 'canceled' });
    expect(await result(key)).toMatchObject({ status: 'failed', error_code: 'canceled', result: null });
    door.open();
    await eventually(async () => {
      const { body } = await world.rest.get(`/v1/actions?agent_id=${agent}`);
      expect(body.items).toMatchObject([{ status: 'executed' }]);
    });
    expect(callsOf(world, tool)).toHaveLength(1);
    await eventually(async () => {
      const { body } = await world.rest.get(`/v1/runs/${key}`);
      expect(body.events.filter(({ type }: { type: string }) => type === 'run_finished')).toMatchObject([
        { status: 'canceled' },
      ]);
    });
    expect((await run(key, { agent_id: agent, actions: [{ tool }] })).body).toMatchObject({
      status: 'acquired',
      fence: 2,
    });
    // The first action of the key was made: it is remembered.
    expect((await ended(key)).result.actions).toMatchObject([{ decision: 'dedup' }]);
  });

  test('may not end it twice, and nobody else may', async () => {
    const { door, key, held } = await underWay();
    expect((await world.rest.post('/v1/ai/cancel', { ...held, lease_id: 'lease_of_another' })).status).toBe(409);
    door.open();
    await ended(key);
    expect((await world.rest.post('/v1/ai/fail', { ...held, error_code: 'late' })).body.detail.error).toBe(
      'lease_not_active',
    );
  });

  test('shares its key with leases: whoever has it, has it', async () => {
    const { door, key, held } = await underWay();
    expect((await world.rest.post('/v1/ai/lease', { key })).body).toMatchObject({ status: 'polling' });
    door.open();
    await ended(key);
    expect((await world.rest.post('/v1/ai/lease', { key })).body).toMatchObject({ status: 'completed' });
    const leased = unique('lease');
    await world.rest.post('/v1/ai/lease', { key: leased });
    expect((await run(leased, {})).body).toMatchObject({ status: 'polling' });
    expect(held.key).toBe(key);
  });
});

test('of a lease and runs that want one key at once one has it, and what was told so makes nothing, later neither', async () => {
  const { agent, tool } = await scene();
  const race = async () => {
    const key = unique('run');
    const wanted = [1, 2, 3].map((n) => run(key, { agent_id: agent, actions: [{ tool, args: { n, key } }] }));
    const answers = await Promise.all([world.rest.post('/v1/ai/lease', { key, ttl: 60 }), ...wanted]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const acquired = answers.filter(({ body }) => body.status === 'acquired');
    expect(acquired).toHaveLength(1);
    const isLease = acquired[0] === answers[0];
    if (isLease) await world.rest.post('/v1/ai/cancel', { key, lease_id: acquired[0]?.body.lease_id });
    return { key, isLease };
  };
  const races = await Promise.all(Array.from({ length: 10 }, race));
  const byRun = races.filter(({ isLease }) => !isLease).map(({ key }) => key);
  await Promise.all(byRun.map(ended));

  // When no run is open any more, nothing is left that could begin.
  const temporal = temporalOf(world);
  const statusOf = (key: string) =>
    temporal.workflow
      .getHandle(runWorkflowId('default', key))
      .describe()
      .then(({ status }) => status.name)
      .catch(() => 'never begun');
  await eventually(async () => {
    expect(await Promise.all(races.map(({ key }) => statusOf(key)))).not.toContain('RUNNING');
  }, 90_000);
  await temporal.connection.close();
  const called = callsOf(world, tool).map(({ body }) => (body.args as { key: string }).key);
  expect(called.sort()).toEqual(byRun.sort());
}, 120_000);

test('a run that outlasts its time to live renews its lease itself', async () => {
  const [door, key, agent] = [gate(), unique('run'), unique('agent')];
  const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
  await run(key, { agent_id: agent, actions: [{ tool }] }, { ttl: 10 });
  const [{ expires_at: first }] = (await world.query('select expires_at from leases where key = $1', [key])) as [
    { expires_at: Date },
  ];
  await eventually(async () => {
    const [row] = await world.query('select expires_at > $2 as renewed, version from leases where key = $1', [
      key,
      first,
    ]);
    expect(row).toEqual({ renewed: true, version: 1 });
  });
  door.open();
  expect(await ended(key)).toMatchObject({ status: 'completed' });
});

test('an agent that is disabled stops its run', async () => {
  const { key, agent, tool } = await scene();
  await world.rest.post(`/v1/agents/${agent}/disable`, {});
  await run(key, { agent_id: agent, actions: [{ tool }] });
  expect(await ended(key)).toMatchObject({ error_code: 'policy_blocked' });
  expect((await result(key)).result.actions).toMatchObject([{ policy_reason: 'agent_disabled' }]);
});

describe('a dry run', () => {
  test('decides every action as if those before it had been made, and calls nothing', async () => {
    const { key, agent, tool } = await scene();
    await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: 5 });
    const actions = [3, 3, 2].map((spend_usd) => ({ tool, spend_usd }));
    await run(key, { agent_id: agent, actions, dry_run: true });
    const end = await ended(key);
    expect(end).toMatchObject({ ok: true, status: 'completed' });
    expect(end.result.actions).toMatchObject([
      { decision: 'pending', ok: false, allowed: false, policy_reason: 'ok', spend_usd: 3 },
      { decision: 'blocked', allowed: false, policy_reason: 'max_spend_usd_per_day_exceeded' },
      { decision: 'pending', spend_usd: 2 },
    ]);
    expect(callsOf(world, tool)).toEqual([]);
    expect((await world.rest.get(`/v1/agents/${agent}/metrics?period=hour`)).body).toMatchObject({ total_actions: 0 });
    // The agent has no ledger row: nothing was counted.
    expect(await ledgerOf(world, agent)).toEqual({ held: null, spent: null });
  });

  test('of an unknown tool ends there', async () => {
    const { key, agent, tool } = await scene();
    await run(key, { agent_id: agent, actions: [{ tool }, { tool: 'nobody.knows' }], dry_run: true });
    const end = await ended(key);
    expect(end).toMatchObject({ status: 'failed', error_code: 'tool_not_found' });
    expect(end.result.actions).toMatchObject([{ decision: 'pending' }]);
  });
});

test('results that are too large together give way to what they were; each stays with its action', async () => {
  const [key, agent] = [unique('run'), unique('agent')];
  const tool = await world.tool('large', () => ({ body: { text: 'x'.repeat(500_000) } }));
  await run(key, { agent_id: agent, actions: [{ tool }, { tool, args: { n: 2 } }] });
  const { actions } = (await ended(key)).result;
  const truncated = actions.filter((action: { result: object }) => 'truncated' in action.result);
  expect(truncated).toMatchObject([{ result: { truncated: true, bytes: 500_011 } }]);
  const whole = await actionThatIs(world, truncated[0].action_id, 'executed');
  expect(whole.result.text).toHaveLength(500_000);
});

describe('a run is refused with 422', () => {
  test.each<[string, object, string[]]>([
    ['in both modes at once', { key: 'k', agent_id: 'a', tool: 't' }, ['body', 'agent_id']],
    ['in both modes at once, by its tool', { key: 'k', tool: 't' }, ['body', 'tool']],
    ['in no mode', {}, ['body', 'agent_id']],
    ['with an empty key', { key: '', metadata: {} }, ['body', 'key']],
    ['with metadata that is a list', { key: 'k', metadata: [] }, ['body', 'metadata']],
    [
      'with actions and no agent',
      { key: 'k', metadata: { actions: [{ tool: 't' }] } },
      ['body', 'metadata', 'agent_id'],
    ],
    [
      'with an action without a tool',
      { key: 'k', metadata: { agent_id: 'a', actions: [{ args: {} }] } },
      ['body', 'metadata', 'actions', '0', 'tool'],
    ],
    [
      'with a negative spend',
      { key: 'k', metadata: { agent_id: 'a', actions: [{ tool: 't', spend_usd: -1 }] } },
      ['body', 'metadata', 'actions', '0', 'spend_usd'],
    ],
    ['with metadata over 64 KiB', { key: 'k', metadata: { text: 'x'.repeat(65_536) } }, ['body', 'metadata']],
    ['with a ttl of 0', { key: 'k', ttl: 0 }, ['body', 'ttl']],
  ])('%s', async (_what, body, loc) => {
    const answer = await world.rest.post('/v1/ai/run', body);
    expect(answer.status).toBe(422);
    expect(answer.body.detail.map((fault: { loc: unknown[] }) => fault.loc.map(String))).toContainEqual(loc);
  });
});
