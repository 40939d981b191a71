import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClaims } from '../../src/store/claims.ts';
import { openPools } from '../../src/store/pools.ts';
import { createSecretBox } from '../../src/store/secret-box.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, gate, holdAgent, ledgerOf } from './scene.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

test('of two workers that claim the same attempt at the same moment, one calls and the other knows that it may have', async () => {
  const [door, agent] = [gate(), unique('agent')];
  const [first, tool] = [await world.tool('first', () => ({})), await world.tool('charge', door.behaviour)];
  await world.run({ agent_id: agent, tool: first, args: {} });
  const row = await holdAgent(world, agent);
  const call = { agent_id: agent, tool, args: {}, spend_usd: 1 };
  const answer = world.run(call);
  await eventually(async () => expect(await row.waiting()).toBe(1));

  const pools = openPools({ DATABASE_URL: world.env.DATABASE_URL, DATABASE_POOL_SIZE: 4 });
  const claims = createClaims(pools, createSecretBox(Buffer.from(String(world.env.ONCEONLY_MASTER_KEY), 'base64')));
  const [action] = await world.query('select action_id from actions where tool = $1', [tool]);
  const other = claims.claim({
    tenant: 'default',
    actionId: String(action?.action_id),
    n: 1,
    token: 'another execution',
    asking: false,
  });
  const waiting = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await eventually(async () => expect(await world.query(waiting)).toHaveLength(2));
  await row.release();

  expect((await other).kind).toBe('lost');
  door.open();
  expect((await answer).body.decision).toBe('executed');
  expect(callsOf(world, tool)).toHaveLength(1);
  expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 1 });
  await pools.close();
});
