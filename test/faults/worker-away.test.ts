import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
});
afterAll(() => world.close());

test('while no worker is there, a call is pending: neither refused nor answered with what an earlier one led to', async () => {
  const tool = await world.tool('charge', fail(400, 1, ok()));
  const call = { agent_id: unique('agent'), tool, args: {}, idempotency_key: unique('key') };
  const first = await world.run(call);
  expect(first.body.decision).toBe('failed');
  await world.kill('worker', 'SIGTERM');

  const second = await world.run({ ...call, wait: 1 });
  const joined = await world.run({ ...call, wait: 0 });
  expect([second.status, second.body.decision, joined.status]).toEqual([202, 'pending', 202]);
  expect(second.body.action_id).not.toBe(first.body.action_id);

  await world.start('worker');
  const answered = await world.run(call);
  expect(answered.body).toMatchObject({ ok: true, decision: 'dedup', action_id: second.body.action_id });
});
