import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually } from './scene.ts';

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

test('while no worker is there, leases are held, changed and ended: their rows are enough', async () => {
  const key = unique('key');
  await world.kill('worker', 'SIGTERM');
  const mine = (await world.rest.post('/v1/ai/lease', { key, ttl: 600 })).body;
  expect(mine).toMatchObject({ status: 'acquired', fence: 1 });
  expect((await world.rest.post('/v1/ai/lease', { key })).body).toMatchObject({ status: 'polling', lease_id: null });
  const held = { key, lease_id: mine.lease_id };
  // More at once than a workflow takes updates.
  const extended = await Promise.all(Array.from({ length: 20 }, () => world.rest.post('/v1/ai/extend', held)));
  expect(new Set(extended.map(({ body }) => body.status))).toEqual(new Set(['extended']));
  expect(Math.max(...extended.map(({ body }) => body.version))).toBe(21);
  const canceled = await world.rest.post('/v1/ai/cancel', held);
  expect(canceled.body).toMatchObject({ status: 'failed', error_code: 'canceled' });
  const next = (await world.rest.post('/v1/ai/lease', { key })).body;
  expect(next).toMatchObject({ status: 'acquired', fence: 2 });
  const done = await world.rest.post('/v1/ai/complete', { key, lease_id: next.lease_id, result: { n: 1 } });
  expect(done.body.status).toBe('completed');
  expect((await world.rest.post('/v1/ai/complete', held)).body.detail.error).toBe('lease_mismatch');
  await world.start('worker');
  expect((await world.rest.get(`/v1/ai/result?key=${key}`)).body).toMatchObject({ result: { n: 1 } });
});

test('while no worker is there, a run is accepted, and made when one comes', async () => {
  const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('charge', ok())];
  await world.kill('worker', 'SIGTERM');
  const { body } = await world.rest.post('/v1/ai/run', {
    key,
    ttl: 600,
    metadata: { agent_id: agent, actions: [{ tool }] },
  });
  expect(body).toMatchObject({ status: 'acquired', fence: 1 });
  expect((await world.rest.get(`/v1/ai/status?key=${key}`)).body.status).toBe('in_progress');
  const canceled = unique('run');
  const other = (
    await world.rest.post('/v1/ai/run', { key: canceled, metadata: { agent_id: agent, actions: [{ tool }] } })
  ).body;
  await world.rest.post('/v1/ai/cancel', { key: canceled, lease_id: other.lease_id });
  await world.start('worker');
  await eventually(async () =>
    expect((await world.rest.get(`/v1/ai/result?key=${key}`)).body).toMatchObject({ status: 'completed' }),
  );
  // One that was canceled before it began makes nothing.
  expect((await world.rest.get(`/v1/ai/status?key=${canceled}`)).body).toMatchObject({ error_code: 'canceled' });
  expect(callsOf(world, tool)).toHaveLength(1);
});
