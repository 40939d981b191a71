import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Role } from '../stack/product.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { eventually, gate, ledgerOf } from './scene.ts';

const CALLS = 10;

describe.each<{ drained: Role; roles: Role[] }>([
  { drained: 'api', roles: ['api', 'worker'] },
  { drained: 'worker', roles: ['api', 'worker'] },
  { drained: 'all', roles: ['all'] },
])('SIGTERM to $drained', ({ drained, roles }) => {
  let world: World;
  beforeAll(async () => {
    // At this level the SDK tells its log that the worker is stopping.
    world = await buildWorld({ roles, env: { LOG_LEVEL: 'debug' } });
  });
  afterAll(() => world.close());

  /** The process says so in its own way: an API takes no connection, a worker tells its log. */
  const isDraining = async (logs: () => string) => {
    if (drained === 'worker') return logs().includes('"state":"STOPPING"');
    return await fetch(`${world.rest.url}/healthz`, { headers: { connection: 'close' } }).then(
      () => false,
      () => true,
    );
  };

  test('ends it in good order, and every call under way is answered with its outcome', async () => {
    const [door, agent] = [gate(), unique('agent')];
    // A tool that may take long is called by an activity of its own, a quick one within the workflow task.
    const tools = [20_000, 60_000].map((timeout_ms) => world.tool('charge', door.behaviour, { timeout_ms }));
    const calls = (await Promise.all(tools)).flatMap((tool) =>
      Array.from({ length: CALLS }, (_, n) => ({ agent_id: agent, tool, args: { n }, spend_usd: 1 })),
    );
    const answers = calls.map((call) => world.run(call));
    await eventually(() => expect(world.receiver.calls).toHaveLength(calls.length));

    const process = world.processes.get(drained);
    const ended = process?.kill('SIGTERM');
    await eventually(async () => expect(await isDraining(() => process?.logs() ?? '')).toBe(true));
    door.open();
    expect(await ended).toEqual({ code: 0, signal: null });
    if (drained === 'worker') await world.start('worker');

    const bodies = (await Promise.all(answers)).map(({ body }) => body.decision);
    expect(bodies).toEqual(Array(calls.length).fill('executed'));
    expect(world.receiver.calls).toHaveLength(calls.length);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: calls.length });
  });
});

test('SIGTERM ends a process to which somebody is connected who never asks anything', async () => {
  // Longer than this test may take: the process is not to wait for that.
  const world = await buildWorld({ roles: ['api'], env: { CLIENT_TIMEOUT_SECONDS: '300' } });
  const { hostname, port } = new URL(world.rest.url);
  const silent = connect(Number(port), hostname);
  silent.on('error', () => undefined);
  await once(silent, 'connect');
  expect(await world.processes.get('api')?.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  silent.destroy();
  await world.close();
});
