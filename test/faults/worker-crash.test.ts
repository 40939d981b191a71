import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { actionThatIs, callsOf, eventually, gate, historyOf, holdAgent, ledgerOf } from './scene.ts';

/** One crash of the worker, and every call that was on its way through it: Temporal takes 10 s to miss a worker. */
let world: World;
let scene: Awaited<ReturnType<typeof play>>;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
  scene = await play();
  const { admitted, claimed, retrying, ...underWay } = scene;
  await world.kill('worker', 'SIGKILL');
  for (const { open } of Object.values(underWay)) open();
  await admitted.row.dropWaiting();
  await Promise.all([admitted, claimed].map(({ row }) => row.release()));
  await world.start('worker');
});
afterAll(() => world.close());

const play = async () => ({
  admitted: await waitingForItsClaim(),
  claimed: await waitingForItsClaim(),
  retrying: await waitingForARetry(),
  executed: await underWay(),
  notExecuted: await underWay(),
  long: await underWay({ timeout_ms: 100_000 }),
  repeatable: await underWay({ idempotent: true }),
  knowsItRan: await underWayTelling('executed'),
  knowsItDidNot: await underWayTelling('not_executed'),
  knowsNothing: await underWayTelling('unknown'),
});

const agentWithBudget = async (): Promise<string> => {
  const agent = unique('agent');
  await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: 100 });
  return agent;
};
/** A call that is admitted, and whose claim waits for the agent's row. */
async function waitingForItsClaim() {
  const [tool, agent] = [await world.tool('charge', ok()), await agentWithBudget()];
  // Its first call makes the agent's row.
  await world.run({ agent_id: agent, tool, args: { free: true } });
  const row = await holdAgent(world, agent);
  const call = { agent_id: agent, tool, args: { invoice: 1 }, spend_usd: 2 };
  const first = world.run(call);
  await eventually(async () => expect(await row.waiting()).toBe(1));
  const [action] = await world.query(
    `select action_id, status, hold from actions where agent_id = $1 and args ->> 'invoice' = '1'`,
    [agent],
  );
  expect(action).toMatchObject({ status: 'running', hold: 'held' });
  const id = String(action?.action_id);
  const paid = () => callsOf(world, tool).filter(({ body }) => Object(body.args).invoice === 1);
  return { agent, tool, call, row, first, id, paid };
}

/** A call that its tool has told to come again in 3 seconds. */
async function waitingForARetry() {
  const agent = await agentWithBudget();
  const tool = await world.tool('charge', (call, n) =>
    n === 1 ? { status: 429, headers: { 'retry-after': '3' } } : ok()(call, n),
  );
  const first = world.run({ agent_id: agent, tool, args: {}, spend_usd: 1 });
  await eventually(async () => {
    const [action] = await world.query('select workflow_id from actions where agent_id = $1', [agent]);
    expect(await historyOf(world, String(action?.workflow_id))).toContain('timerStartedEventAttributes');
  });
  return { agent, tool, first };
}

/** A call that has reached its tool and waits for the answer. */
async function underWay(fields: Record<string, unknown> = {}) {
  const [door, agent] = [gate(), await agentWithBudget()];
  const tool = await world.tool('charge', door.behaviour, fields);
  const call = { agent_id: agent, tool, args: {}, spend_usd: 3 };
  const first = world.run(call);
  await door.arrived;
  return { agent, tool, call, first, open: door.open };
}

async function underWayTelling(status: string) {
  const path = unique('status');
  const status_url = world.receiver.endpoint(`/${path}`, () => ({ body: { status, result: { found: status } } }));
  return { ...(await underWay({ status_url })), questions: () => callsOf(world, path) };
}

test('a call that was admitted and not yet claimed is made by the next worker, once', async () => {
  const { agent, call, first, id, paid } = scene.admitted;
  expect((await first).body).toMatchObject({ decision: 'executed', action_id: id });
  expect((await world.run(call)).body).toMatchObject({ decision: 'dedup', action_id: id });
  expect(paid()).toHaveLength(1);
  expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
});

test('a claim that a dying worker could not commit is none: the call is made by the next worker, once', async () => {
  const { agent, call, first, id, paid } = scene.claimed;
  expect((await first).body).toMatchObject({ decision: 'executed', action_id: id });
  expect((await world.run(call)).body).toMatchObject({ decision: 'dedup', action_id: id });
  expect(paid().map(({ fence }) => fence)).toEqual([1]);
  expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
});

test.each([
  ['executed', 'executed', 3],
  ['notExecuted', 'not_executed', 0],
] as const)(
  'a call under way is never made again: in doubt, its money held, until resolved (%s)',
  async (name, outcome, spent) => {
    const { agent, tool, call, first } = scene[name];
    const told = (await first).body;
    expect(told).toMatchObject({ ok: false, allowed: false, decision: 'in_doubt', policy_reason: 'in_doubt' });
    expect((await world.run(call)).body).toMatchObject({ decision: 'in_doubt', action_id: told.action_id });
    const action = await actionThatIs(world, told.action_id, 'in_doubt');
    expect(action.attempts).toMatchObject([{ n: 1, outcome: 'in_doubt' }]);
    expect(await ledgerOf(world, agent)).toEqual({ held: 3, spent: 0 });

    await world.rest.post(`/v1/actions/${told.action_id}/resolve`, { outcome });
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent });
    expect(callsOf(world, tool)).toHaveLength(1);
  },
);

test('a call that may take long is looked at long before its time is up', async () => {
  const { agent, tool, first } = scene.long;
  expect((await first).body.decision).toBe('in_doubt');
  expect(callsOf(world, tool)).toHaveLength(1);
  expect(await ledgerOf(world, agent)).toEqual({ held: 3, spent: 0 });
});

test('a call under way of an idempotent tool is made again, under the same key and fence', async () => {
  const { agent, tool, call, first } = scene.repeatable;
  const { body } = await first;
  expect(body.decision).toBe('executed');
  expect((await world.run(call)).body.decision).toBe('dedup');
  const identities = callsOf(world, tool).map(({ idempotencyKey, webhookId, fence }) => [
    idempotencyKey,
    webhookId,
    fence,
  ]);
  expect(identities).toEqual(Array(2).fill([body.action_id, body.action_id, 1]));
  expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 3 });
});

test.each([
  ['knowsItRan', 'executed', 3],
  ['knowsItDidNot', 'failed', 0],
] as const)('the doubt about a tool that %s ends by itself: %s', async (name, status, spent) => {
  const { agent, tool, first, questions } = scene[name];
  const { action_id, decision } = (await first).body;
  expect(decision).toBe('in_doubt');
  const action = await actionThatIs(world, action_id, status);
  if (status === 'executed') expect(action.result).toEqual({ found: 'executed' });
  expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent });
  expect(callsOf(world, tool)).toHaveLength(1);
  expect(questions()[0]).toMatchObject({ method: 'GET', verified: true, query: { idempotency_key: action_id } });
});

test('the doubt about a tool that does not know either stays', async () => {
  const { agent, first, questions } = scene.knowsNothing;
  const { action_id } = (await first).body;
  await eventually(() => expect(questions().length).toBeGreaterThan(0));
  await actionThatIs(world, action_id, 'in_doubt');
  expect(await ledgerOf(world, agent)).toEqual({ held: 3, spent: 0 });
});

test('a retry that waits is made by the next worker, once, and not before its time', async () => {
  const { agent, tool, first } = scene.retrying;
  expect((await first).body.decision).toBe('executed');
  const [early, late] = callsOf(world, tool);
  expect(callsOf(world, tool)).toHaveLength(2);
  expect(late?.idempotencyKey).toBe(early?.idempotencyKey);
  expect(Number(late?.at) - Number(early?.at)).toBeGreaterThanOrEqual(3_000);
  expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 1 });
});
