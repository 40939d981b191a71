import { afterEach, expect, test } from 'vitest';
import { ok, slow } from '../../src/dev/behaviours.ts';
import type { Behaviour } from '../../src/dev/receiver.ts';
import { callsOf, eventually } from '../faults/scene.ts';
import type { Rest } from '../stack/rest.ts';
import { buildWorld, SECRET, unique, type World, type WorldOptions } from '../stack/world.ts';

let world: World;
const build = async (options: WorldOptions = {}) => {
  world = await buildWorld(options);
};
afterEach(() => world.close());

const toolOf = async (rest: Rest, behaviour: Behaviour, fields: object = {}) => {
  const name = unique('tool');
  const url = world.receiver.endpoint(`/${name}`, behaviour);
  const auth = { type: 'hmac_sha256', secret: SECRET };
  expect((await rest.post('/v1/tools', { name, url, auth, ...fields })).status).toBe(200);
  return name;
};
const call = (rest: Rest, tool: string, args: object, wait = 30) =>
  rest.post('/v1/ai/run', { agent_id: 'agent', tool, args, wait });

/** A tool that answers when it is told to, and knows how many of its calls are under way. */
function held() {
  const waiting: Array<() => void> = [];
  let most = 0;
  return {
    behaviour: async () => {
      const done = new Promise<void>((resolve) => waiting.push(resolve));
      most = Math.max(most, waiting.length);
      await done;
      return { body: {} };
    },
    waiting: () => waiting.length,
    most: () => most,
    letOne: () => waiting.shift()?.(),
    letAll: () => {
      for (const one of waiting.splice(0)) one();
    },
  };
}

test('300 calls of one tenant to a tool that hangs keep nothing from another: locks, leases, calls, a switch', async () => {
  await build();
  const [busy, other] = [await world.tenant('busy'), await world.tenant('other')];
  const hanging = held();
  const [stuck, quick] = [await toolOf(busy, hanging.behaviour, { timeout_ms: 120_000 }), await toolOf(other, ok())];
  for (let n = 0; n < 300; n += 50)
    await Promise.all(Array.from({ length: 50 }, (_, k) => call(busy, stuck, { n: n + k }, 0)));
  await eventually(async () => expect(hanging.waiting()).toBeGreaterThan(50));

  const key = unique('lease');
  const lease = (await other.post('/v1/ai/lease', { key })).body;
  expect(lease.status).toBe('acquired');
  expect((await other.post('/v1/ai/complete', { key, lease_id: lease.lease_id })).body.status).toBe('completed');
  expect((await other.post('/v1/check-lock', { key: unique('lock') })).body.status).toBe('locked');
  for (let n = 0; n < 6; n += 1) expect((await call(other, quick, { n })).body.decision).toBe('executed');
  const run = unique('run');
  await other.post('/v1/ai/run', { key: run, metadata: { agent_id: 'a', actions: [{ tool: quick, args: { run } }] } });
  await eventually(async () => expect((await other.get(`/v1/ai/status?key=${run}`)).body.status).toBe('completed'));
  expect((await fetch(`${world.rest.url}/readyz`)).status).toBe(200);
  // Not one of them has been answered meanwhile, and not all of them were let out at once.
  expect(hanging.waiting()).toBeLessThan(300);
  expect((await busy.post('/v1/agents/agent/disable')).body.in_flight).toBeGreaterThan(0);
  hanging.letAll();
});

test('calls beyond the share of a tool wait, and are made as the others end', async () => {
  await build({ env: { TOOL_MAX_IN_FLIGHT: '4' } });
  const tool = held();
  const name = await toolOf(world.rest, tool.behaviour);
  const calls = Array.from({ length: 12 }, (_, n) => call(world.rest, name, { n }));
  for (let done = 0; done < 12; done += 1) {
    await eventually(async () => expect(tool.waiting()).toBe(Math.min(4, 12 - done)));
    tool.letOne();
  }
  expect((await Promise.all(calls)).map(({ body }) => body.decision)).toEqual(calls.map(() => 'executed'));
  expect(tool.most()).toBe(4);
});

test('a tool that was quick and hangs keeps nothing from another tenant', async () => {
  await build();
  const other = await world.tenant('other');
  const hanging = held();
  let isQuick = true;
  const tool = await toolOf(world.rest, async (...made) => (isQuick ? ok()(...made) : await hanging.behaviour()));
  for (let n = 0; n < 3; n += 1) expect((await call(world.rest, tool, { warm: n })).body.decision).toBe('executed');
  isQuick = false;
  for (let n = 0; n < 300; n += 50)
    await Promise.all(Array.from({ length: 50 }, (_, k) => call(world.rest, tool, { n: n + k }, 0)));
  await eventually(async () => expect(hanging.waiting()).toBeGreaterThan(50));
  const quick = await toolOf(other, ok());
  for (let n = 0; n < 6; n += 1) expect((await call(other, quick, { n })).body.decision).toBe('executed');
  hanging.letAll();
});

test('a call of a slow tool is made once, over its queue, and its worker may drain meanwhile', async () => {
  await build({ roles: ['api', 'worker'] });
  const tool = await toolOf(world.rest, slow(3_000));
  const pending = call(world.rest, tool, { n: 1 });
  await eventually(async () => expect(callsOf(world, tool)).toHaveLength(1));
  await world.kill('worker', 'SIGTERM');
  await world.start('worker');
  expect((await pending).body.decision).toBe('executed');
  expect(callsOf(world, tool)).toHaveLength(1);
});
