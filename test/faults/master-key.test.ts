import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { freePort } from '../../src/dev/ports.ts';
import { startProcess } from '../stack/product.ts';
import { createRest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually } from './scene.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
});
afterAll(() => world.close());

test('a worker with another master key is not ready and takes nothing: no call is put in doubt that never left', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
  await world.kill('worker', 'SIGTERM');
  const METRICS_PORT = String(await freePort());
  const env = { ...world.env, METRICS_PORT, ONCEONLY_MASTER_KEY: randomBytes(32).toString('base64') };
  const url = `http://127.0.0.1:${METRICS_PORT}`;
  const stranger = await startProcess({ role: 'worker', env, isReady: async () => (await fetch(`${url}/healthz`)).ok });
  try {
    await eventually(() => expect(stranger.logs()).toContain('ONCEONLY_MASTER_KEY is not the key'));
    const call = { agent_id: agent, tool, args: {}, idempotency_key: unique('key') };
    const { status, body } = await world.run({ ...call, wait: 2 });
    expect([status, body.decision, body.policy_reason]).toEqual([202, 'pending', 'still_running']);
    const ready = await createRest(url, '').get('/readyz');
    expect([ready.status, ready.body.checks]).toMatchObject([503, { worker: false, master_key: false }]);
    await world.start('worker');
    await eventually(async () =>
      expect((await world.rest.get(`/v1/actions/${body.action_id}`)).body.status).toBe('executed'),
    );
    expect(callsOf(world, tool)).toHaveLength(1);
  } finally {
    await stranger.kill('SIGTERM');
  }
});

test('an API with another master key is not ready, and seals nothing that nobody else could open', async () => {
  const env = { ...world.env, ONCEONLY_MASTER_KEY: randomBytes(32).toString('base64') };
  const stranger = await startProcess({ role: 'api', env, isReady: async (at) => (await fetch(`${at}/healthz`)).ok });
  try {
    const rest = createRest(stranger.url, world.rest.key);
    expect((await rest.get('/readyz')).body.checks).toMatchObject({ master_key: false });
    const auth = { type: 'hmac_sha256', secret: 'a-long-shared-secret' };
    const { status, body } = await rest.post('/v1/tools', { name: unique('tool'), url: 'http://127.0.0.1:9/', auth });
    expect([status, body.detail.error]).toEqual([503, 'unavailable']);
  } finally {
    await stranger.kill('SIGTERM');
  }
});
