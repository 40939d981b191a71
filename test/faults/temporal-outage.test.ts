import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import type { Temporal } from '../../src/dev/temporal.ts';
import { type Outage, privateTemporal } from '../stack/outage.ts';
import type { Role } from '../stack/product.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, gate, ledgerOf, steadyCallers, untilAnswered } from './scene.ts';

const ways: Array<{ crash: boolean; roles: Role[] }> = [
  { crash: false, roles: ['api', 'worker'] },
  { crash: true, roles: ['all'] },
];

describe.each(ways)('Temporal goes away (crash: $crash, processes: $roles)', ({ crash, roles }) => {
  let temporal: Outage<Temporal>;
  let world: World;
  beforeAll(async () => {
    temporal = await privateTemporal();
    world = await buildWorld({ roles, env: { TEMPORAL_ADDRESS: temporal.service.address } });
  });
  afterAll(async () => {
    await world?.close();
    await temporal?.end();
  });

  let before: Awaited<ReturnType<typeof prepare>>;
  const key = unique('key');

  async function prepare() {
    const [door, agent] = [gate(), unique('agent')];
    const tool = await world.tool('charge', ok());
    const slowTool = await world.tool('slow', door.behaviour);
    const done = { agent_id: agent, tool, args: { n: 0 } };
    const executed = (await world.run(done)).body;
    await world.rest.post('/v1/check-lock', { key: `${key}/lock`, ttl: 600 });
    const lease = (await world.rest.post('/v1/ai/lease', { key: `${key}/lease`, ttl: 600 })).body;
    const underWay = { agent_id: agent, tool: slowTool, args: {}, spend_usd: 1 };
    const first = world.run(underWay).catch(() => undefined);
    await door.arrived;
    return { door, agent, tool, slowTool, done, executed, lease, underWay, first };
  }

  test('and whoever asks at that moment gets an answer or 503, never a fault', async () => {
    before = await prepare();
    const callers = steadyCallers(world, before.tool);
    await eventually(() => expect(callers.answers().length).toBeGreaterThan(20));
    await temporal.takeDown({ crash });
    before.door.open();
    await eventually(() => expect(callers.answers().filter(({ status }) => status === 503).length).toBeGreaterThan(5));
    const answers = await callers.stop();
    expect(answers.filter(({ status }) => ![200, 202, 503].includes(status))).toEqual([]);
    expect(answers.filter(({ status, headers }) => status === 503 && !headers.has('retry-after'))).toEqual([]);
  });

  test.each([
    ['check-lock', () => ({ key: `${key}/new` })],
    ['ai/lease', () => ({ key: `${key}/new` })],
    ['ai/run', () => ({ agent_id: before.agent, tool: before.tool, args: { new: true } })],
  ])('what needs it is 503 with Retry-After: %s', async (path, body) => {
    const answer = await world.rest.post(`/v1/${path}`, body());
    expect([answer.status, answer.body.detail.error]).toEqual([503, 'unavailable']);
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
  });

  test('what needs PostgreSQL only is answered', async () => {
    const { agent, done, executed } = before;
    const reads = [
      ...['/v1/me', '/v1/tools', '/v1/policies', '/v1/runs', `/v1/agents/${agent}/logs`],
      ...[`/v1/actions/${executed.action_id}`, `/v1/ai/status?key=${key}/lease`, `/v1/ai/result?key=${key}/lease`],
    ];
    for (const path of reads) expect([path, (await world.rest.get(path)).status]).toEqual([path, 200]);
    expect((await world.run(done)).body).toMatchObject({ decision: 'dedup', action_id: executed.action_id });
    const held = await world.rest.post('/v1/ai/lease', { key: `${key}/lease` });
    expect(held.body.status).toBe('polling');
    const known = await world.rest.post('/v1/check-lock', { key: `${key}/lock` });
    expect([known.status, known.body.status]).toEqual([200, 'duplicate']);
  });

  test('the API says that it lives, and that it is not ready', async () => {
    expect((await world.rest.get('/healthz')).status).toBe(200);
    const ready = await world.rest.get('/readyz');
    expect(ready.status).toBe(503);
    expect(ready.body.checks).toMatchObject({ postgres: true, temporal: false });
  });

  test('comes back, and everything works again without a restart', async () => {
    const { agent, tool, lease } = before;
    await temporal.bringBack();
    const call = { agent_id: agent, tool, args: { after: crash } };
    expect((await untilAnswered(() => world.run(call))).body.ok).toBe(true);
    const lock = () => world.rest.post('/v1/check-lock', { key: `${key}/later`, owner: 'me' });
    expect((await untilAnswered(lock)).body.status).toBe('locked');
    const acquire = () => world.rest.post('/v1/ai/lease', { key: `${key}/later`, owner: 'me' });
    expect((await untilAnswered(acquire)).body.status).toBe('acquired');
    const complete = () => world.rest.post('/v1/ai/complete', { key: `${key}/lease`, lease_id: lease.lease_id });
    expect((await untilAnswered(complete)).body.status).toBe('completed');
    await eventually(async () => expect((await world.rest.get('/readyz')).status).toBe(200));
    expect(callsOf(world, tool).filter(({ body }) => Object(body.args).after === crash)).toHaveLength(1);
  });

  test('and a call that was under way is settled by what its tool said, and not made again', async () => {
    const { agent, slowTool, underWay, first } = before;
    await first;
    expect((await untilAnswered(() => world.run(underWay))).body.decision).toMatch(/executed|dedup/);
    expect(callsOf(world, slowTool)).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toMatchObject({ held: 0, spent: 1 });
  });
});
