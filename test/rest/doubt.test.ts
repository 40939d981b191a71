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

/** A tool that remembers what it has done by its key, as an idempotent one does. */
function remembering(losesAnswers: () => boolean) {
  const done = new Map<string, string>();
  const behaviour: Behaviour = (call) => {
    const charge = done.get(call.idempotencyKey) ?? `ch_${done.size + 1}`;
    done.set(call.idempotencyKey, charge);
    return losesAnswers() ? { hangUp: 'before_answer', effect: false } : { body: { charge }, effect: false };
  };
  return { done, behaviour };
}

const capped = async (dollars: number) => {
  const agent = unique('agent');
  await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: dollars });
  return agent;
};
const attemptsOf = async (id: string) => (await world.rest.get(`/v1/actions/${id}`)).body.attempts as unknown[];

describe('an idempotent tool whose answers are lost', () => {
  test('is in doubt, not failed: nobody is charged twice, and no cap is passed', async () => {
    const { done, behaviour } = remembering(() => true);
    const tool = await world.tool('charge', behaviour, { idempotent: true });
    const agent = await capped(5);
    const call = { agent_id: agent, tool, args: { invoice: 1 }, spend_usd: 5, wait: 60 };
    const first = await world.run(call);
    expect(first.body).toMatchObject({
      ok: false,
      allowed: false,
      decision: 'in_doubt',
      policy_reason: 'in_doubt',
      spend_usd: 5,
    });
    expect(await ledgerOf(world, agent)).toEqual({ held: 5, spent: 0 });
    const again = await world.run(call);
    expect(again.body).toMatchObject({ decision: 'in_doubt', action_id: first.body.action_id });
    expect((await world.run({ ...call, args: { invoice: 2 } })).body.policy_reason).toBe(
      'max_spend_usd_per_day_exceeded',
    );
    expect([...done.keys()]).toEqual([first.body.action_id]);
  });

  test('is asked again under the same key until it answers: that is proof', async () => {
    let lost = true;
    const { done, behaviour } = remembering(() => lost);
    const tool = await world.tool('charge', behaviour, { idempotent: true, max_retries: 0 });
    const agent = await capped(5);
    const { body } = await world.run({ agent_id: agent, tool, args: {}, spend_usd: 3 });
    expect(body.decision).toBe('in_doubt');
    lost = false;
    const action = await actionThatIs(world, body.action_id, 'executed');
    expect(action).toMatchObject({ result: { charge: 'ch_1' }, spend_usd: 3, fence: 1 });
    expect(action.attempts).toMatchObject([
      { n: 1, outcome: 'in_doubt' },
      { n: 2, outcome: 'executed', http_status: 200 },
    ]);
    expect(done).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 3 });
    const calls = callsOf(world, tool);
    expect(calls.map(({ idempotencyKey, fence }) => [idempotencyKey, fence])).toEqual(
      Array(2).fill([body.action_id, 1]),
    );
  });

  test('cannot be called not executed while it is being asked: it could act yet', async () => {
    const door = gate();
    const tool = await world.tool(
      'charge',
      (call, n) => (n === 1 ? hangUp('before_answer')(call, n) : door.behaviour(call, n)),
      { idempotent: true, max_retries: 0, timeout_ms: 60_000 },
    );
    const { body } = await world.run({ agent_id: unique('agent'), tool, args: {}, spend_usd: 3 });
    expect(body.decision).toBe('in_doubt');
    await door.arrived;
    const resolve = (outcome: string) => world.rest.post(`/v1/actions/${body.action_id}/resolve`, { outcome });
    const refused = await resolve('not_executed');
    expect([refused.status, refused.body.detail.error]).toEqual([409, 'action_not_in_doubt']);
    door.open();
    await actionThatIs(world, body.action_id, 'executed');
  });

  test('stays in doubt where it then declines: it may have acted the first time', async () => {
    const tool = await world.tool(
      'charge',
      (call, n) => (n === 1 ? hangUp('before_answer')(call, n) : { status: 409, body: { error: 'already processed' } }),
      { idempotent: true },
    );
    const agent = await capped(5);
    const call = { agent_id: agent, tool, args: {}, spend_usd: 5 };
    const first = await world.run(call);
    expect(first.body).toMatchObject({ decision: 'in_doubt', spend_usd: 5 });
    expect((await world.run(call)).body).toMatchObject({ decision: 'in_doubt', action_id: first.body.action_id });
    expect(await attemptsOf(first.body.action_id)).toMatchObject([
      { outcome: 'retry' },
      { outcome: 'in_doubt', http_status: 409 },
    ]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 5, spent: 0 });
  });

  test('stays in doubt where it is down by then', async () => {
    const tool = await world.tool(
      'charge',
      (call, n) => (n === 1 ? hangUp('before_answer')(call, n) : { status: 503, headers: { 'retry-after': '0' } }),
      { idempotent: true, max_retries: 1 },
    );
    const { body } = await world.run({ agent_id: unique('agent'), tool, args: {} });
    expect(body.decision).toBe('in_doubt');
  });
});

describe('between two attempts everything that can say no is looked at again', () => {
  const later =
    (n: number, first: Behaviour): Behaviour =>
    (call, nth) =>
      nth <= n ? first(call, nth) : ok()(call, nth);
  /** Nothing happened, and it asks to be called again in two seconds. */
  const busy: Behaviour = () => ({ status: 429, headers: { 'retry-after': '2' } });
  /** It did its work, says that it crashed, and is called again soon. */
  const crashed: Behaviour = () => ({ status: 500, effect: true });

  async function betweenAttempts(first: Behaviour, fields = {}) {
    const tool = await world.tool('charge', later(1, first), { idempotent: true, ...fields });
    const agent = await capped(5);
    const answer = world.run({ agent_id: agent, tool, args: {}, spend_usd: 2, wait: 60 });
    const id = await eventually(async () => {
      const [row] = await world.query(
        'select action_id from attempts join actions using (action_id) where tool = $1 and ended_at is not null',
        [tool],
      );
      expect(row).toBeDefined();
      return String(row?.action_id);
    });
    return { tool, agent, answer, id };
  }
  const change = {
    'the tool is switched off': ({ tool }: Scene) => world.rest.post(`/v1/tools/${tool}/toggle`, { enabled: false }),
    'the tool is deleted': ({ tool }: Scene) => world.rest.delete(`/v1/tools/${tool}`),
    'the policy blocks the tool': ({ tool, agent }: Scene) =>
      world.rest.post(`/v1/policies/${agent}`, { blocked_tools: [tool] }),
    'the policy does not allow the tool any more': async ({ agent }: Scene) =>
      world.rest.post(`/v1/policies/${agent}`, { allowed_tools: [await world.tool('other', ok())] }),
  } as const;
  type Scene = { readonly tool: string; readonly agent: string };

  test.each([
    ['the tool is switched off', 'blocked', 'tool_disabled'],
    ['the tool is deleted', 'failed', 'tool_error'],
    ['the policy blocks the tool', 'blocked', 'tool_explicitly_blocked'],
    ['the policy does not allow the tool any more', 'blocked', 'tool_not_in_allowed_list'],
  ] as const)('%s, and nothing had happened: %s, %s', async (what, decision, policy_reason) => {
    const scene = await betweenAttempts(busy);
    expect((await change[what](scene)).status).toBe(200);
    expect((await scene.answer).body).toMatchObject({ decision, policy_reason, spend_usd: 0 });
    expect(callsOf(world, scene.tool)).toHaveLength(1);
    expect(await ledgerOf(world, scene.agent)).toEqual({ held: 0, spent: 0 });
  });

  test.each(Object.keys(change) as (keyof typeof change)[])('%s, and it may have acted: in doubt', async (what) => {
    const scene = await betweenAttempts((call, n) => ({ ...crashed(call, n), headers: { 'retry-after': '2' } }));
    expect((await change[what](scene)).status).toBe(200);
    expect((await scene.answer).body).toMatchObject({ decision: 'in_doubt', spend_usd: 2 });
    expect(callsOf(world, scene.tool)).toHaveLength(1);
    expect(await ledgerOf(world, scene.agent)).toEqual({ held: 2, spent: 0 });
  });

  test('the tool turns out not to be idempotent, and it may have acted: it is not sent again', async () => {
    const scene = await betweenAttempts((call, n) => ({ ...crashed(call, n), headers: { 'retry-after': '2' } }));
    const { body } = await world.rest.get(`/v1/tools/${scene.tool}`);
    const changed = await world.rest.post('/v1/tools', { name: scene.tool, url: body.url, idempotent: false });
    expect(changed.body).toMatchObject({ idempotent: false, version: 2 });
    expect((await scene.answer).body).toMatchObject({ decision: 'in_doubt', spend_usd: 2 });
    // Nor is it asked by a repeat later: the first question would come after 15 seconds.
    await eventually(async () => {
      const { events } = await historyTypes(scene.id);
      expect(events.filter((type) => type === 'timerFiredEventAttributes').length).toBeGreaterThanOrEqual(2);
    });
    expect(callsOf(world, scene.tool)).toHaveLength(1);
  });

  test('a policy that changes in what has nothing to do with the tool stops nothing', async () => {
    const scene = await betweenAttempts(busy);
    await world.rest.post(`/v1/policies/${scene.agent}`, { max_actions_per_hour: 1 });
    expect((await scene.answer).body).toMatchObject({ decision: 'executed' });
  });
});

async function historyTypes(actionId: string): Promise<{ events: string[] }> {
  const { body } = await world.rest.get(`/v1/actions/${actionId}`);
  return { events: await historyOf(world, body.workflow_id) };
}
