import { afterAll, beforeAll, expect, test } from 'vitest';
import { slow } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, ledgerOf, untilAnswered } from './scene.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
});
afterAll(() => world.close());

const CALLS = 50;
const KEYS = 10;
const owners = ['one', 'other'];
const numbered = (count: number) => Array.from({ length: count }, (_, n) => n);

test.each([
  ['before any call has reached its tool', 0],
  ['when the first have', 1],
  ['when half of them have', CALLS / 2],
  ['when all have', CALLS],
])(
  'an API that dies under 50 calls, and under leases and locks, %s, loses and doubles nothing',
  async (_when, reached) => {
    const [tool, agent] = [await world.tool('charge', slow(150)), unique('agent')];
    const calls = numbered(CALLS).map((n) => ({ agent_id: agent, tool, args: { n }, spend_usd: 1 }));
    const askers = numbered(KEYS).flatMap((n) => owners.map((owner) => ({ key: `${agent}/${n}`, owner, ttl: 600 })));
    const run = (call: object) => untilAnswered(() => world.rest.post('/v1/ai/run', call));
    const lease = (asker: object) => untilAnswered(() => world.rest.post('/v1/ai/lease', asker));
    const lock = (asker: object) => untilAnswered(() => world.rest.post('/v1/check-lock', asker));

    const everyone = Promise.all([
      Promise.all(calls.map(run)),
      Promise.all(askers.map(lease)),
      Promise.all(askers.map(lock)),
    ]);
    await eventually(() => expect(callsOf(world, tool).length).toBeGreaterThanOrEqual(reached));
    await world.kill('api', 'SIGKILL');
    await world.start('api');

    const [ran, leased, locked] = await everyone;
    expect(ran.filter(({ body }) => !['executed', 'dedup'].includes(body.decision))).toEqual([]);
    const reachedTool = callsOf(world, tool).map(({ body }) => Object(body.args).n);
    expect(reachedTool.toSorted((a, b) => a - b)).toEqual(numbered(CALLS));
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: CALLS });

    expect(leased.map(({ body }) => body.status).sort()).toEqual([
      ...Array(KEYS).fill('acquired'),
      ...Array(KEYS).fill('polling'),
    ]);
    expect(locked.map(({ body }) => body.status).sort()).toEqual([
      ...Array(KEYS).fill('duplicate'),
      ...Array(KEYS).fill('locked'),
    ]);
    for (const [i, asker] of askers.entries()) {
      expect((await lease(asker)).body).toMatchObject({
        status: leased[i]?.body.status,
        lease_id: leased[i]?.body.lease_id,
        fence: 1,
      });
      expect((await lock(asker)).body.status).toBe(locked[i]?.body.status);
    }
  },
);
