import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { callsOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

/** A call that fails in the same way each time, and what is left of it on the record. */
async function failing(agent: string, tool: string, args: object = {}) {
  const call = { agent_id: agent, tool, args, spend_usd: 1, wait: 60 };
  const { status, body } = await world.run(call);
  expect([status, body.decision, body.policy_reason]).toEqual([200, 'failed', 'tool_error']);
  expect(body).toMatchObject({ ok: false, allowed: false, result: { error: 'step_failed' } });
  const action = await world.rest.get(`/v1/actions/${body.action_id}`);
  expect([action.status, action.body.status]).toEqual([200, 'failed']);
  const { items } = (await world.rest.get(`/v1/audit?agent_id=${agent}`)).body;
  expect(items.filter((line: { action_id: string }) => line.action_id === body.action_id)).toMatchObject([
    { type: 'action_failed', decision: 'failed' },
  ]);
  return call;
}

test('a stored policy that no longer parses fails the call, on the record; mended days later it does not go out', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
  await world.rest.post(`/v1/policies/${agent}`, { max_actions_per_hour: 10 });
  await world.query(`update policies set policy = '{"max_actions_per_hour":"many"}' where agent_id = $1`, [agent]);
  const call = await failing(agent, tool);
  await world.query(`update policies set policy = '{"max_actions_per_hour":10}' where agent_id = $1`, [agent]);
  expect(callsOf(world, tool)).toEqual([]);
  expect((await world.run(call)).body.decision).toBe('executed');
  expect(callsOf(world, tool)).toHaveLength(1);
});

test('a ledger beyond its range fails the call, on the record', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
  await world.run({ agent_id: agent, tool, args: { first: true } });
  await world.query('update agent_days set spent_micros = 9223372036854775807, held_micros = 1 where agent_id = $1', [
    agent,
  ]);
  await failing(agent, tool);
  expect(callsOf(world, tool)).toHaveLength(1);
});

test('a secret that cannot be opened fails the call before anything has left', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
  await world.query(`update tools set secret_cipher = decode(repeat('00', 60), 'hex') where name = $1`, [tool]);
  const { body } = await world.run({ agent_id: agent, tool, args: {}, spend_usd: 1, wait: 60 });
  expect(body).toMatchObject({ decision: 'failed', result: { error: 'step_failed' }, spend_usd: 0 });
  const action = (await world.rest.get(`/v1/actions/${body.action_id}`)).body;
  expect(action).toMatchObject({ status: 'failed', attempts: [] });
  expect(callsOf(world, tool)).toEqual([]);
  const [ledger] = await world.query('select held_micros::float8 as held from agent_days where agent_id = $1', [agent]);
  expect(ledger).toEqual({ held: 0 });
});
