import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, gate } from './scene.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
});
afterAll(() => world.close());

test('a run goes on where it was when every process has died, and makes each action once', async () => {
  const [door, key, agent] = [gate(), unique('run'), unique('agent')];
  const [first, last] = [await world.tool('first', ok()), await world.tool('last', ok())];
  const middle = await world.tool('middle', door.behaviour, { idempotent: true, timeout_ms: 60_000 });
  const actions = [first, middle, last].map((tool) => ({ tool }));
  await world.rest.post('/v1/ai/run', { key, ttl: 10, metadata: { agent_id: agent, actions } });
  await door.arrived;
  await world.kill('worker', 'SIGKILL');
  await world.kill('api', 'SIGKILL');
  // Long enough for its lease to run out: nobody takes the key, so it is still the run's.
  await eventually(async () => {
    const [row] = await world.query('select expires_at < clock_timestamp() as overdue from leases where key = $1', [
      key,
    ]);
    expect(row).toEqual({ overdue: true });
  });
  door.open();
  await world.start('api');
  expect((await world.rest.get(`/v1/ai/status?key=${key}`)).body).toMatchObject({ error_code: 'expired' });
  await world.start('worker');
  const { body } = await eventually(async () => {
    const answer = await world.rest.get(`/v1/ai/result?key=${key}`);
    expect(answer.body.status).toBe('completed');
    return answer;
  });
  expect(body.result.actions.map(({ decision }: { decision: string }) => decision)).toEqual([
    'executed',
    'executed',
    'executed',
  ]);
  for (const tool of [first, middle, last]) {
    expect(new Set(callsOf(world, tool).map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
  }
  expect([first, last].map((tool) => callsOf(world, tool).length)).toEqual([1, 1]);
});

test('a run whose key was taken while no worker was there to renew it makes no further action', async () => {
  const [door, key, agent] = [gate(), unique('run'), unique('agent')];
  const tool = await world.tool('slow', door.behaviour, { timeout_ms: 60_000, idempotent: true });
  const last = await world.tool('last', ok());
  const metadata = { agent_id: agent, actions: [{ tool }, { tool: last }] };
  await world.rest.post('/v1/ai/run', { key, ttl: 10, metadata });
  await door.arrived;
  await world.kill('worker', 'SIGKILL');
  door.open();
  // No worker is needed for somebody else to acquire it, once its time has passed.
  await eventually(async () => {
    const taken = await world.rest.post('/v1/ai/lease', { key, ttl: 3_600 });
    expect(taken.body).toMatchObject({ status: 'acquired', fence: 2 });
  });
  await world.start('worker');
  await eventually(async () => {
    const { body } = await world.rest.get(`/v1/runs/${key}`);
    expect(body.events.at(-1)).toMatchObject({ type: 'run_finished', status: 'canceled' });
  });
  expect(callsOf(world, last)).toEqual([]);
  expect((await world.rest.get(`/v1/ai/status?key=${key}`)).body).toMatchObject({ status: 'in_progress', fence: 2 });
});
