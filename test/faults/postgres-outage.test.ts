import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routes } from '../../src/api/routes/index.ts';
import { ok } from '../../src/dev/behaviours.ts';
import type { Postgres } from '../../src/dev/postgres.ts';
import { migrate } from '../../src/store/migrate.ts';
import { type Outage, privatePostgres } from '../stack/outage.ts';
import { createRest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, gate, ledgerOf, steadyCallers, untilAnswered } from './scene.ts';

let postgres: Outage<Postgres>;
let world: World;
beforeAll(async () => {
  postgres = await privatePostgres();
  await migrate({ DATABASE_URL: postgres.service.url });
  world = await buildWorld({ roles: ['api', 'worker'], env: { DATABASE_URL: postgres.service.url } });
});
afterAll(async () => {
  await world?.close();
  await postgres?.end();
});

const isRefused = (status: number, headers: Headers) =>
  status === 503 && /^\d+$/.test(headers.get('retry-after') ?? '');

describe.each([{ crash: false }, { crash: true }])('PostgreSQL goes away (crash: $crash)', ({ crash }) => {
  const key = unique('key');
  let before: Awaited<ReturnType<typeof prepare>>;

  async function prepare() {
    const [door, agent] = [gate(), unique('agent')];
    const tool = await world.tool('charge', ok());
    const slowTool = await world.tool('slow', door.behaviour, { timeout_ms: 20_000 });
    const slowest = await world.tool('slowest', door.behaviour, { timeout_ms: 60_000 });
    const calls = [slowTool, slowest].map((name) => ({ agent_id: agent, tool: name, args: {}, spend_usd: 1 }));
    const lease = (await world.rest.post('/v1/ai/lease', { key, ttl: 600 })).body;
    const firsts = calls.map((call) => world.run(call));
    await eventually(() => expect(calls.map((call) => callsOf(world, call.tool).length)).toEqual([1, 1]));
    return { door, agent, tool, calls, firsts, lease };
  }

  test('and whoever asks at that moment gets an answer or 503, never a fault', async () => {
    before = await prepare();
    const callers = steadyCallers(world, before.tool);
    await eventually(() => expect(callers.answers().length).toBeGreaterThan(20));
    await postgres.takeDown({ crash });
    // What the tools answer now cannot be written down.
    before.door.open();
    await eventually(() => expect(callers.answers().filter(({ status }) => status === 503).length).toBeGreaterThan(20));
    const answers = await callers.stop();
    const others = answers.filter(({ status, headers }) => ![200, 202].includes(status) && !isRefused(status, headers));
    expect(others).toEqual([]);
  });

  test('every route is 503 with Retry-After', async () => {
    // Until a moment ago the key was known, and a nonsense body would be told so.
    await eventually(async () => expect((await world.rest.post('/v1/check-lock', {})).status).toBe(503));
    const { url, headers } = { url: world.rest.url, headers: { authorization: `Bearer ${world.rest.key}` } };
    for (const { method, path } of routes) {
      // fetch writes `get` and `post` in capitals by itself, and not `patch`.
      const answer = await fetch(`${url}${path.replaceAll(/:\w+/g, 'x')}`, { method: method.toUpperCase(), headers });
      const refused = isRefused(answer.status, answer.headers);
      expect({ method, path, refused, body: await answer.json() }).toMatchObject({
        refused: true,
        body: { detail: { error: 'unavailable' } },
      });
    }
  });

  test('the API says that it lives, and that it is not ready', async () => {
    const stranger = createRest(world.rest.url, 'none');
    expect((await stranger.get('/healthz')).status).toBe(200);
    const ready = await stranger.get('/readyz');
    expect(ready.status).toBe(503);
    expect(ready.body.checks).toMatchObject({ postgres: false, temporal: true });
  });

  test('comes back, and everything works again without a restart', async () => {
    const { agent, tool, lease } = before;
    await postgres.bringBack();
    const call = { agent_id: agent, tool, args: { after: crash } };
    expect((await untilAnswered(() => world.run(call))).body.ok).toBe(true);
    const lock = () => world.rest.post('/v1/check-lock', { key: `${key}/later`, owner: 'me' });
    expect((await untilAnswered(lock)).body.status).toBe('locked');
    const complete = () => world.rest.post('/v1/ai/complete', { key, lease_id: lease.lease_id });
    expect((await untilAnswered(complete)).body.status).toBe('completed');
    const acquire = () => world.rest.post('/v1/ai/lease', { key: `${key}/later`, owner: 'me' });
    expect((await untilAnswered(acquire)).body.status).toBe('acquired');
    await eventually(async () => expect((await world.rest.get('/readyz')).status).toBe(200));
    expect(callsOf(world, tool).filter(({ body }) => Object(body.args).after === crash)).toHaveLength(1);
  });

  test('and what tools answered meanwhile is settled so: not called twice, not in doubt', async () => {
    const { agent, calls, firsts } = before;
    await Promise.all(firsts);
    for (const call of calls) {
      expect((await untilAnswered(() => world.run(call))).body.decision).toBe('dedup');
      expect(callsOf(world, call.tool)).toHaveLength(1);
    }
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
  });
});
