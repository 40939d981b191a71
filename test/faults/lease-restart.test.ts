import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Postgres } from '../../src/dev/postgres.ts';
import type { Temporal } from '../../src/dev/temporal.ts';
import { migrate } from '../../src/store/migrate.ts';
import { type Outage, privatePostgres, privateTemporal } from '../stack/outage.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { eventually, untilAnswered } from './scene.ts';

let postgres: Outage<Postgres>;
let temporal: Outage<Temporal>;
let world: World;
beforeAll(async () => {
  [postgres, temporal] = await Promise.all([privatePostgres(), privateTemporal()]);
  await migrate({ DATABASE_URL: postgres.service.url });
  const env = { DATABASE_URL: postgres.service.url, TEMPORAL_ADDRESS: temporal.service.address };
  world = await buildWorld({ roles: ['api', 'worker'], env });
});
afterAll(async () => {
  await world?.close();
  await Promise.all([postgres?.end(), temporal?.end()]);
});

const ask = (what: string, body: object) => untilAnswered(() => world.rest.post(`/v1/ai/${what}`, body));
const lease = async (key: string, fields: object = {}) => (await ask('lease', { key, ttl: 600, ...fields })).body;
const status = async (key: string) => (await world.rest.get(`/v1/ai/status?key=${key}`)).body;

async function crashOfEverything(): Promise<void> {
  const [api, worker] = [world.kill('api', 'SIGKILL'), world.kill('worker', 'SIGKILL')];
  await Promise.all([api, worker, postgres.takeDown({ crash: true }), temporal.takeDown({ crash: true })]);
  await Promise.all([postgres.bringBack(), temporal.bringBack()]);
  await Promise.all([world.start('api'), world.start('worker')]);
}

test('leases outlive a crash of everything: the holder keeps its lease, a short one ends in time, fences only rise', async () => {
  const [reused, short, long, done] = ['reused', 'short', 'long', 'done'].map(unique) as [
    string,
    string,
    string,
    string,
  ];
  const fences: number[] = [];
  for (const end of ['cancel', 'fail', 'cancel']) {
    const { fence, lease_id } = await lease(reused, { retry_failed: true });
    fences.push(fence);
    await ask(end, { key: reused, lease_id, error_code: 'broken' });
  }
  const finished = await lease(done);
  await ask('complete', { key: done, lease_id: finished.lease_id, result: { answer: 42 } });
  const held = await lease(long, { owner: 'me' });
  const brief = await lease(short, { ttl: 10 });
  fences.push((await lease(reused, { ttl: 10 })).fence);

  await crashOfEverything();

  expect(await lease(long, { owner: 'me' })).toMatchObject({ status: 'acquired', lease_id: held.lease_id, fence: 1 });
  expect(await lease(long, { owner: 'other' })).toMatchObject({ status: 'polling', lease_id: null });
  expect((await ask('extend', { key: long, lease_id: held.lease_id })).body).toMatchObject({
    status: 'extended',
    version: 2,
  });
  expect((await ask('complete', { key: long, lease_id: held.lease_id })).body.status).toBe('completed');
  expect(await lease(done)).toMatchObject({ status: 'completed', fence: 1 });
  expect((await world.rest.get(`/v1/ai/result?key=${done}`)).body.result).toEqual({ answer: 42 });

  await eventually(async () => expect(await status(short)).toMatchObject({ status: 'failed', error_code: 'expired' }));
  const late = await world.rest.post('/v1/ai/complete', { key: short, lease_id: brief.lease_id });
  expect([late.status, late.body.detail.error]).toEqual([409, 'lease_not_active']);
  // By itself: nobody has to ask for the key again.
  const states = () => world.query('select state from leases where key = any($1)', [[short, reused]]);
  await eventually(async () => expect(await states()).toEqual([{ state: 'expired' }, { state: 'expired' }]));
  await eventually(async () => expect(await status(reused)).toMatchObject({ error_code: 'expired' }));
  fences.push((await lease(reused)).fence);
  expect(fences).toEqual([1, 2, 3, 4, 5]);
});
