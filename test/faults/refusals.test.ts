import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { type ProductProcess, startProcess } from '../stack/product.ts';
import { createRest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, untilAnswered } from './scene.ts';
import { startTcpProxy, type TcpProxy } from './suite/tcp-proxy.ts';

/** An API that reaches Temporal through a network which breaks as it is told; the worker reaches it directly. */
let world: World;
let proxy: TcpProxy;
let worker: ProductProcess;
beforeAll(async () => {
  const direct = await buildWorld({ roles: [] });
  const { TEMPORAL_ADDRESS: address } = direct.env;
  proxy = await startTcpProxy({ port: Number(address.split(':')[1]) });
  world = await buildWorld({ roles: ['api'], env: { TEMPORAL_ADDRESS: `127.0.0.1:${proxy.port}` } });
  worker = await startProcess({ role: 'worker', env: { ...world.env, TEMPORAL_ADDRESS: address } });
  await direct.close();
});
afterAll(async () => {
  await proxy?.heal();
  await world?.close();
  await worker?.kill('SIGTERM');
  await proxy?.close();
});

async function scene() {
  const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
  return { tool, call: { agent_id: agent, tool, args: {}, spend_usd: 1, idempotency_key: unique('key') } };
}
const errorOf = ({ status, body }: { status: number; body: { detail?: { error?: string } } }) => [
  status,
  body.detail?.error,
];
const actionsOf = async (agent: string) =>
  (await world.rest.get(`/v1/actions?agent_id=${agent}`)).body.items as Record<string, unknown>[];

describe('while Temporal cannot be reached', () => {
  test('a call is not accepted: nothing happened, and nothing will', async () => {
    const { tool, call } = await scene();
    const key = unique('key');
    await proxy.refuse();
    const refused = await world.run(call);
    const lease = await world.rest.post('/v1/ai/lease', { key });
    const lock = await world.rest.post('/v1/check-lock', { key });
    await proxy.heal();
    expect([refused, lease, lock].map(errorOf)).toEqual(Array(3).fill([503, 'unavailable']));
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    // Whatever was to come of it would be there by the end of another call.
    const { call: later } = await scene();
    await untilAnswered(() => world.run(later));
    expect(callsOf(world, tool)).toEqual([]);
    expect(await actionsOf(call.agent_id)).toEqual([]);
    expect((await untilAnswered(() => world.rest.post('/v1/ai/lease', { key }))).body.status).toBe('acquired');
    expect((await untilAnswered(() => world.rest.post('/v1/check-lock', { key }))).body.status).toBe('locked');
  });
});

describe('where the answer to a start is lost', () => {
  test('what became of it is not known, and a repeat finds it', async () => {
    const { tool, call } = await scene();
    await untilAnswered(() => world.run({ ...call, args: { warm: true }, idempotency_key: unique('key') }));
    proxy.dropAnswers();
    const lost = await world.run(call);
    expect(errorOf(lost)).toEqual([503, 'outcome_unknown']);
    expect(lost.headers.get('retry-after')).toMatch(/^\d+$/);
    await eventually(() => expect(callsOf(world, tool)).toHaveLength(2));
    await proxy.heal();
    const found = await untilAnswered(() => world.run(call));
    expect(found.body).toMatchObject({ decision: 'dedup', ok: true });
    expect(callsOf(world, tool)).toHaveLength(2);
  });

  test('a start that arrives after its caller was told so begins nothing', async () => {
    const { tool, call } = await scene();
    const key = unique('key');
    await untilAnswered(() => world.run({ ...call, args: { warm: true }, idempotency_key: unique('key') }));
    proxy.stall();
    const [lost, lease, run] = await Promise.all([
      world.run(call),
      world.rest.post('/v1/ai/lease', { key }),
      world.rest.post('/v1/ai/run', { key: `${key}/run`, metadata: { agent_id: call.agent_id, actions: [{ tool }] } }),
    ]);
    await proxy.heal();
    for (const answer of [lost, lease, run]) expect(errorOf(answer)).toEqual([503, 'outcome_unknown']);
    // Whatever was to come of it would be there by the end of another call.
    const { call: later } = await scene();
    await untilAnswered(() => world.run(later));
    expect(callsOf(world, tool)).toHaveLength(1);
    const found = await untilAnswered(() => world.run(call));
    expect(found.body).toMatchObject({ ok: true });
    expect(callsOf(world, tool)).toHaveLength(2);
    expect((await untilAnswered(() => world.rest.post('/v1/ai/lease', { key }))).body).toMatchObject({
      status: 'acquired',
    });
    expect((await world.rest.get(`/v1/ai/status?key=${key}/run`)).status).toBe(404);
  });
});

test('a wait whose end is near is pending, however short: what was accepted is refused by nobody', async () => {
  const tool = await world.tool('charge', async (call, n) => ({ ...(await ok()(call, n)), delayMs: 400 }));
  const agent = unique('agent');
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, n) => world.run({ agent_id: agent, tool, args: { n }, wait: (n % 20) / 40 })),
  );
  expect(answers.filter(({ status }) => status !== 200 && status !== 202)).toEqual([]);
  const pending = answers.filter(({ status }) => status === 202);
  expect(pending.length).toBeGreaterThan(0);
  for (const { body } of pending) {
    expect(body).toMatchObject({ ok: false, allowed: false, decision: 'pending', policy_reason: 'still_running' });
    expect(body.result).toEqual({ action_id: body.action_id, status_url: `/v1/actions/${body.action_id}` });
    expect((await world.rest.get(`/v1/actions/${body.action_id}`)).status).toBe(200);
  }
});

test('a namespace that is not there yet is an outage, which the API says of itself', async () => {
  const env = { ...world.env, TEMPORAL_NAMESPACE: 'not-there-yet' };
  const started = startProcess({ role: 'api', env, isReady: async (url) => (await fetch(`${url}/healthz`)).ok });
  const api = await started;
  try {
    const rest = createRest(api.url, world.rest.key);
    const ready = await rest.get('/readyz');
    expect([ready.status, ready.body.checks.temporal]).toEqual([503, false]);
    const { call } = await scene();
    expect(errorOf(await rest.post('/v1/ai/run', call))).toEqual([503, 'unavailable']);
  } finally {
    await api.kill('SIGTERM');
  }
});
