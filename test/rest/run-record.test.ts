import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hangUp, ok } from '../../src/dev/behaviours.ts';
import type { Behaviour } from '../../src/dev/receiver.ts';
import { actionThatIs, callsOf, eventually, gate, historyOf, ledgerOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const run = async (key: string, metadata: object, fields: object = {}) =>
  (await world.rest.post('/v1/ai/run', { key, metadata, ttl: 600, ...fields })).body;
const result = async (key: string) => (await world.rest.get(`/v1/ai/result?key=${encodeURIComponent(key)}`)).body;
const ended = (key: string) =>
  eventually(async () => {
    const body = await result(key);
    expect(['completed', 'failed']).toContain(body.status);
    return body;
  });
/** Goes on with a run that has failed, to its next end. */
async function goOn(key: string, metadata: object) {
  expect(await run(key, metadata, { retry_failed: true })).toMatchObject({ status: 'acquired' });
  return await ended(key);
}
const timesCalled = (...tools: string[]) => tools.map((tool) => callsOf(world, tool).length);
const actionsOf = async (agent: string): Promise<Array<Record<string, string>>> =>
  (await world.rest.get(`/v1/actions?agent_id=${encodeURIComponent(agent)}`)).body.items;

/** As if so much time had passed since: for the rows of the run and of its actions. */
async function pass(key: string, time: string): Promise<void> {
  await world.query(
    `update actions set created_at = created_at - $2::interval, done_at = done_at - $2::interval,
       remember_until = remember_until - $2::interval where run_key = $1`,
    [key, time],
  );
  await world.query(
    `update leases set first_seen_at = first_seen_at - $2::interval, expires_at = expires_at - $2::interval,
       done_at = done_at - $2::interval where key = $1`,
    [key, time],
  );
}

/** Refuses until it is mended. */
function broken(): { behaviour: Behaviour; mend(): void } {
  let isBroken = true;
  const work = ok();
  return {
    behaviour: (call, n) => (isBroken ? { status: 400, body: { error: 'broken' } } : work(call, n)),
    mend: () => {
      isBroken = false;
    },
  };
}

/** A run of `pay`, which is made, and `ship`, which fails until it is mended. */
async function failedRun(key = unique('run')) {
  const [agent, shipping] = [unique('agent'), broken()];
  const [pay, ship] = [await world.tool('pay', ok(), { dedup_ttl: 60 }), await world.tool('ship', shipping.behaviour)];
  const metadata = { agent_id: agent, actions: [{ tool: pay, args: { to: 'a' }, spend_usd: 2 }, { tool: ship }] };
  await run(key, metadata);
  const end = await ended(key);
  expect(end).toMatchObject({ status: 'failed', error_code: 'tool_error' });
  const [{ action_id: paid }] = end.result.actions as [{ action_id: string }];
  return { key, agent, pay, ship, metadata, mend: shipping.mend, paid };
}

describe('a run that is gone on with after a failure', () => {
  test.each([
    ['at once', '0 seconds'],
    ['after a day', '25 hours'],
    ['after a weekend', '3 days'],
    ['after six days', '6 days'],
  ])('%s begins behind what it has made', async (_when, time) => {
    const { key, agent, pay, ship, metadata, mend, paid } = await failedRun();
    await pass(key, time);
    mend();
    const end = await goOn(key, metadata);
    expect(end).toMatchObject({ status: 'completed', error_code: null });
    expect(end.result.actions).toMatchObject([
      { decision: 'dedup', action_id: paid, ok: true, result: { args: { to: 'a' } } },
      { decision: 'executed' },
    ]);
    expect(timesCalled(pay, ship)).toEqual([1, 2]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
  });

  test('and fails again, and again after days, has its first action made once', async () => {
    const { key, pay, ship, metadata, mend, paid } = await failedRun();
    for (const fence of [2, 3, 4]) {
      await pass(key, '2 days');
      expect(await goOn(key, metadata)).toMatchObject({ status: 'failed', error_code: 'tool_error' });
      expect((await world.rest.get(`/v1/ai/status?key=${key}`)).body.fence).toBe(fence);
    }
    await pass(key, '2 days');
    mend();
    expect((await goOn(key, metadata)).result.actions).toMatchObject([{ action_id: paid }, { decision: 'executed' }]);
    expect(timesCalled(pay, ship)).toEqual([1, 5]);
  });

  test('whose tool is another one by now is still not made twice', async () => {
    const { key, pay, ship, metadata, mend, paid } = await failedRun();
    await pass(key, '2 days');
    await world.rest.delete(`/v1/tools/${pay}`);
    mend();
    expect((await goOn(key, metadata)).result.actions).toMatchObject([{ action_id: paid }, { decision: 'executed' }]);
    expect(timesCalled(pay, ship)).toEqual([1, 2]);
  });

  test('without being asked to go on is final, and nothing is called', async () => {
    const { key, pay, ship, metadata } = await failedRun();
    await pass(key, '2 days');
    expect(await run(key, metadata)).toMatchObject({ status: 'failed', error_code: 'tool_error' });
    expect(timesCalled(pay, ship)).toEqual([1, 1]);
  });

  test.each<[string, (actions: Array<Record<string, unknown>>) => Array<Record<string, unknown>>]>([
    ['with other arguments', ([pay, ship]) => [{ ...pay, args: { to: 'b' } }, { ...ship }]],
    ['with another tool', ([, ship]) => [{ ...ship }, { ...ship }]],
    ['in another order', ([pay, ship]) => [{ ...ship }, { ...pay }]],
  ])('with a list that is another where it was made, %s, is refused and calls nothing', async (_how, change) => {
    const { key, pay, ship, metadata, mend, paid } = await failedRun();
    mend();
    const other = { ...metadata, actions: change(metadata.actions) };
    expect(await goOn(key, other)).toMatchObject({ status: 'failed', error_code: 'idempotency_mismatch' });
    await pass(key, '2 days');
    expect(await goOn(key, other)).toMatchObject({ status: 'failed', error_code: 'idempotency_mismatch' });
    expect(timesCalled(pay, ship)).toEqual([1, 1]);
    // As it was begun it can still be gone on with.
    expect((await goOn(key, metadata)).result.actions).toMatchObject([{ action_id: paid }, { decision: 'executed' }]);
    expect(timesCalled(pay, ship)).toEqual([1, 2]);
  });

  test('with another agent is refused and calls nothing', async () => {
    const { key, pay, ship, metadata, mend } = await failedRun();
    mend();
    const end = await goOn(key, { ...metadata, agent_id: unique('agent') });
    expect(end).toMatchObject({ status: 'failed', error_code: 'idempotency_mismatch' });
    expect(timesCalled(pay, ship)).toEqual([1, 1]);
  });

  test('with a list that goes on otherwise behind what was made is fine', async () => {
    const { key, pay, ship, metadata, mend, paid } = await failedRun();
    mend();
    const actions = [metadata.actions[0], { tool: ship, args: { by: 'sea' } }, { tool: ship, args: { by: 'air' } }];
    expect((await goOn(key, { ...metadata, actions })).result.actions).toMatchObject([
      { action_id: paid },
      { decision: 'executed' },
      { decision: 'executed' },
    ]);
    expect(timesCalled(pay, ship)).toEqual([1, 3]);
  });

  test('keeps its record under a key that is long and has letters of any kind', async () => {
    const { key, pay, ship, metadata, mend } = await failedRun(`${unique('run')} ${'Zahlung für März '.repeat(14)}`);
    await pass(key, '2 days');
    mend();
    expect(await goOn(key, metadata)).toMatchObject({ status: 'completed' });
    expect(timesCalled(pay, ship)).toEqual([1, 2]);
  });
});

describe('a run that ended in a doubt', () => {
  async function doubtfulRun() {
    const agent = unique('agent');
    const [pay, ship] = [await world.tool('pay', ok()), await world.tool('ship', hangUp('before_answer'))];
    const last = await world.tool('last', ok());
    const tools = [pay, ship, last] as const;
    const metadata = { agent_id: agent, actions: tools.map((tool) => ({ tool, spend_usd: 1 })) };
    const key = unique('run');
    await run(key, metadata);
    const end = await ended(key);
    expect(end).toMatchObject({ status: 'failed', error_code: 'in_doubt' });
    const [paid, doubtful] = end.result.actions.map(({ action_id }: { action_id: string }) => action_id);
    return { key, agent, tools, metadata, paid, doubtful };
  }
  const resolve = (action: string, body: object) => world.rest.post(`/v1/actions/${action}/resolve`, body);

  test.each(['0 seconds', '2 days'])('goes on behind it once it is known to be made, %s later', async (time) => {
    const { key, agent, tools, metadata, paid, doubtful } = await doubtfulRun();
    expect((await resolve(doubtful, { outcome: 'executed', result: { parcel: 'p1' } })).status).toBe(200);
    await pass(key, time);
    const end = await goOn(key, metadata);
    expect(end).toMatchObject({ status: 'completed' });
    expect(end.result.actions).toMatchObject([
      { action_id: paid, decision: 'dedup' },
      { action_id: doubtful, decision: 'dedup', result: { parcel: 'p1' } },
      { decision: 'executed' },
    ]);
    expect(timesCalled(...tools)).toEqual([1, 1, 1]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 3 });
  });

  test('makes it again once it is known not to be made, and what was before it not', async () => {
    const { key, agent, tools, metadata, paid, doubtful } = await doubtfulRun();
    expect((await resolve(doubtful, { outcome: 'not_executed' })).status).toBe(200);
    await pass(key, '2 days');
    const end = await goOn(key, metadata);
    // Its answer is lost this time too.
    expect(end).toMatchObject({ status: 'failed', error_code: 'in_doubt' });
    expect(end.result.actions).toMatchObject([{ action_id: paid }, { decision: 'in_doubt' }]);
    expect(timesCalled(...tools)).toEqual([1, 2, 0]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 1, spent: 1 });
  });

  test.each(['0 seconds', '2 days'])('ends with it again while it is in doubt, %s later', async (time) => {
    const { key, agent, tools, metadata, doubtful } = await doubtfulRun();
    await pass(key, time);
    const end = await goOn(key, metadata);
    expect(end).toMatchObject({ status: 'failed', error_code: 'in_doubt' });
    expect(end.result.actions.at(-1)).toMatchObject({ decision: 'in_doubt', action_id: doubtful });
    expect(timesCalled(...tools)).toEqual([1, 1, 0]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 1, spent: 1 });
  });
});

test('a run that is complete and asked for anew after its memory is another one', async () => {
  const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('pay', ok())];
  const metadata = { agent_id: agent, actions: [{ tool }] };
  await run(key, metadata);
  await ended(key);
  expect(await run(key, metadata, { retry_failed: true })).toMatchObject({ status: 'completed' });
  await pass(key, '8 days');
  expect(await run(key, metadata)).toMatchObject({ status: 'acquired', fence: 2 });
  expect((await ended(key)).result.actions).toMatchObject([{ decision: 'executed' }]);
  expect(timesCalled(tool)).toEqual([2]);
});

describe('the actions of a run', () => {
  test('go by names that no key of a caller spells', async () => {
    const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('pay', ok())];
    await run(key, { agent_id: agent, actions: [{ tool }, { tool }] });
    const { actions } = (await ended(key)).result;
    expect(actions.map(({ workflow_id }: { workflow_id: string }) => workflow_id)).toEqual([
      `run-action/default/k:${key}/1`,
      `run-action/default/k:${key}/2`,
    ]);
    const names = [`${key}#1`, `${key}/1`, `run-action/default/k:${key}/1`, `../run-action/default/k:${key}/1`];
    for (const name of names) {
      const { body } = await world.run({ agent_id: agent, tool, args: {} }, { 'idempotency-key': name });
      expect([name, body.decision]).toEqual([name, 'executed']);
      expect(actions.map(({ action_id }: { action_id: string }) => action_id)).not.toContain(body.action_id);
    }
    expect(timesCalled(tool)).toEqual([2 + names.length]);
  });

  test('are not those of a key that was taken before', async () => {
    const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('pay', ok())];
    for (const name of [`${key}#1`, `${key}/1`])
      await world.run({ agent_id: agent, tool, args: {} }, { 'idempotency-key': name });
    await run(key, { agent_id: agent, actions: [{ tool }] });
    expect((await ended(key)).result.actions).toMatchObject([{ decision: 'executed' }]);
    expect(timesCalled(tool)).toEqual([3]);
  });
});

describe('a run whose action is still under way from before', () => {
  /** Of a run that was canceled while its tool was at it. */
  async function overtaken() {
    const [door, key, agent] = [gate(), unique('run'), unique('agent')];
    const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
    const last = await world.tool('last', ok());
    const metadata = { agent_id: agent, actions: [{ tool, spend_usd: 1 }, { tool: last }] };
    const first = await run(key, metadata);
    await door.arrived;
    await world.rest.post('/v1/ai/cancel', { key, lease_id: first.lease_id });
    const second = await run(key, metadata);
    expect(second).toMatchObject({ status: 'acquired', fence: 2 });
    return { door, key, agent, tool, last, metadata, second };
  }

  test('waits for it without spinning, and goes on behind it', async () => {
    const { door, key, agent, tool, last } = await overtaken();
    const workflow = `run/default/k:${key}`;
    await eventually(async () => expect((await historyOf(world, workflow)).length).toBeGreaterThan(5));
    // Long enough for it to show: a new try each second is more than a hundred events.
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    expect((await historyOf(world, workflow)).length).toBeLessThan(60);
    expect(await result(key)).toMatchObject({ status: 'in_progress' });
    door.open();
    const end = await ended(key);
    expect(end).toMatchObject({ status: 'completed' });
    expect(end.result.actions).toMatchObject([{ decision: 'dedup', spend_usd: 0 }, { decision: 'executed' }]);
    expect(timesCalled(tool, last)).toEqual([1, 1]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 1 });
  });

  test('frees its key when it is canceled, and makes nothing more', async () => {
    const { door, key, agent, tool, last, metadata, second } = await overtaken();
    const canceled = await world.rest.post('/v1/ai/cancel', { key, lease_id: second.lease_id });
    expect(canceled.body).toMatchObject({ error_code: 'canceled' });
    await eventually(async () => {
      const { body } = await world.rest.get(`/v1/runs/${key}`);
      const ends = body.events.filter(({ type }: { type: string }) => type === 'run_finished');
      expect(ends).toMatchObject([{ status: 'canceled' }, { status: 'canceled' }]);
    });
    const third = await run(key, metadata);
    expect(third).toMatchObject({ status: 'acquired', fence: 3 });
    door.open();
    expect((await ended(key)).result.actions).toMatchObject([{ decision: 'dedup' }, { decision: 'executed' }]);
    expect(timesCalled(tool, last)).toEqual([1, 1]);
    expect((await actionsOf(agent)).map(({ status }) => status)).toEqual(['executed', 'executed']);
  });

  test('that failed in the end makes it anew', async () => {
    const [door, key, agent] = [gate(() => ({ status: 400, effect: false })), unique('run'), unique('agent')];
    const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
    const metadata = { agent_id: agent, actions: [{ tool, spend_usd: 1 }] };
    const first = await run(key, metadata);
    await door.arrived;
    await world.rest.post('/v1/ai/cancel', { key, lease_id: first.lease_id });
    expect(await run(key, metadata)).toMatchObject({ status: 'acquired', fence: 2 });
    door.open();
    expect(await ended(key)).toMatchObject({ status: 'failed', error_code: 'tool_error' });
    expect(timesCalled(tool)).toEqual([2]);
    expect((await actionsOf(agent)).map(({ status }) => status)).toEqual(['failed', 'failed']);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
  });
});

describe('a run that is canceled while its action waits for approval', () => {
  async function canceled() {
    const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('refund', ok())];
    await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
    const metadata = { agent_id: agent, actions: [{ tool, spend_usd: 1 }] };
    const { lease_id } = await run(key, metadata);
    const asked = await eventually(async () => {
      const [found] = (await world.rest.get(`/v1/approvals?status=pending&agent_id=${agent}`)).body;
      expect(found).toBeDefined();
      return found as { id: string; action_id: string };
    });
    expect((await world.rest.post('/v1/ai/cancel', { key, lease_id })).body).toMatchObject({ error_code: 'canceled' });
    return { key, agent, tool, metadata, asked };
  }

  test('has nobody who could approve it, and calls nothing', async () => {
    const { agent, tool, asked } = await canceled();
    const { status, body } = await world.rest.post(`/v1/approvals/${asked.id}/approve`, {});
    expect([status, body.detail.error]).toEqual([409, 'approval_decided']);
    await eventually(async () =>
      expect((await world.rest.get(`/v1/actions/${asked.action_id}`)).body.status).toMatch(/^(failed|blocked)$/),
    );
    expect((await world.rest.get(`/v1/approvals/${asked.id}`)).body.status).toBe('expired');
    expect(callsOf(world, tool)).toEqual([]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 0 });
  });

  test('asks anew when it is begun anew', async () => {
    const { key, agent, tool, metadata, asked } = await canceled();
    expect(await run(key, metadata)).toMatchObject({ status: 'acquired', fence: 2 });
    const again = await eventually(async () => {
      const [found] = (await world.rest.get(`/v1/approvals?status=pending&agent_id=${agent}`)).body;
      expect(found).toBeDefined();
      return found as { id: string; action_id: string };
    });
    expect(again.action_id).not.toBe(asked.action_id);
    expect((await world.rest.post(`/v1/approvals/${asked.id}/approve`, {})).status).toBe(409);
    expect((await world.rest.post(`/v1/approvals/${again.id}/approve`, {})).status).toBe(200);
    expect(await ended(key)).toMatchObject({ status: 'completed' });
    await actionThatIs(world, again.action_id, 'executed');
    expect(callsOf(world, tool)).toHaveLength(1);
  });
});
