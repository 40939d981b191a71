import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hangUp, ok } from '../../src/dev/behaviours.ts';
import type { Answer, Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { callsOf, eventually, ledgerOf } from './scene.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const ABREAST = 60;

/** Locks rows from outside, as an operator's forgotten transaction does. */
async function lockRows(rows: string, values: unknown[]) {
  const holder = new pg.Client({ connectionString: world.env.DATABASE_URL });
  await holder.connect();
  await holder.query('begin');
  const { rowCount } = await holder.query(`select 1 from ${rows} for update`, values);
  expect(rowCount).toBeGreaterThan(0);
  const [own] = (await holder.query<{ pid: number }>('select pg_backend_pid() as pid')).rows;
  return {
    isWaitedFor: () =>
      eventually(async () => {
        const waiting = 'select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))';
        expect(await world.query(waiting, [own?.pid])).not.toEqual([]);
      }),
    release: async () => {
      await holder.query('rollback');
      await holder.end();
    },
  };
}

/** All that has nothing to do with a locked row is answered, again and again. */
async function expectTheRestToWork(rests: readonly Rest[], tool: string): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    expect((await fetch(`${world.rest.url}/readyz`)).status).toBe(200);
    for (const rest of rests) {
      const call = { agent_id: `calm-${round}`, tool, args: { at: unique('call') }, wait: 30 };
      expect((await rest.post('/v1/ai/run', call)).body.decision).toBe('executed');
      const key = unique('lease');
      const { lease_id } = (await rest.post('/v1/ai/lease', { key })).body;
      expect((await rest.post('/v1/ai/complete', { key, lease_id })).body.status).toBe('completed');
      expect((await rest.post('/v1/check-lock', { key })).body.status).toBe('locked');
      for (const list of ['/v1/actions', '/v1/tools', '/v1/runs', '/v1/audit', '/v1/policies'])
        expect([list, (await rest.get(list)).status]).toEqual([list, 200]);
    }
    // A key that no process has seen yet has to be looked up.
    expect((await (await world.key('default')).get('/v1/me')).status).toBe(200);
  }
}

const isToldAsItIs = ({ status, body }: Answer): void => {
  if (status === 503) expect(body.detail.error).toBe('unavailable');
  else expect([200, 202]).toContain(status);
};

describe('a row that is locked from outside costs one agent alone', () => {
  test.each<[string, (agent: string, tool: string) => [string, unknown[]]]>([
    ['agent_days', (agent) => ['agent_days where agent_id = $1', [agent]]],
    ['agents', (agent) => ['agents where agent_id = $1', [agent]]],
    ['tools', (_agent, tool) => ['tools where name = $1', [tool]]],
  ])('%s', async (_table, rowsOf) => {
    const agent = unique('stuck');
    const [tool, calm] = [await world.tool('charge', ok()), await world.tool('calm', ok())];
    const other = await world.tenant('other');
    const call = (n: number) => world.run({ agent_id: agent, tool, args: { n }, spend_usd: 1, wait: 1 });
    expect((await world.run({ agent_id: agent, tool, args: {}, spend_usd: 1 })).body.decision).toBe('executed');
    const calmOfOther = await toolOf(other);

    const lock = await lockRows(...rowsOf(agent, tool));
    const calls = Promise.all(Array.from({ length: ABREAST }, (_, n) => call(n)));
    await lock.isWaitedFor();
    await expectTheRestToWork([world.rest], calm);
    await expectTheRestToWork([other], calmOfOther);
    const answers = await calls;
    answers.forEach(isToldAsItIs);
    expect(callsOf(world, tool)).toHaveLength(1);
    await lock.release();

    const accepted = answers.filter(({ status }) => status !== 503).map(({ body }) => body.action_id);
    await eventually(async () => {
      const rows = await world.query('select action_id, status from actions where agent_id = $1', [agent]);
      expect(rows).toHaveLength(accepted.length + 1);
      expect(rows.filter(({ status }) => status !== 'executed')).toEqual([]);
      expect(accepted.filter((id) => !rows.some((row) => row.action_id === id))).toEqual([]);
    });
    const made = callsOf(world, tool).map(({ idempotencyKey }) => idempotencyKey);
    expect(new Set(made).size).toBe(made.length);
    expect(made).toHaveLength(accepted.length + 1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: accepted.length + 1 });
  });

  test('or one key of a lease', async () => {
    const key = unique('stuck');
    const calm = await world.tool('calm', ok());
    const { lease_id } = (await world.rest.post('/v1/ai/lease', { key })).body;
    const lock = await lockRows('leases where key = $1', [key]);
    const extending = Promise.all(
      Array.from({ length: ABREAST }, () => world.rest.post('/v1/ai/extend', { key, lease_id })),
    );
    await lock.isWaitedFor();
    await expectTheRestToWork([world.rest], calm);
    const answers = await extending;
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    answers.forEach(isToldAsItIs);
    await lock.release();
    // Nothing was done, as it was told.
    expect((await world.rest.get(`/v1/ai/status?key=${key}`)).body.version).toBe(1);
    expect((await world.rest.post('/v1/ai/extend', { key, lease_id })).body.version).toBe(2);
  });

  test('or an action that is resolved', async () => {
    const agent = unique('stuck');
    const [tool, calm] = [await world.tool('lost', hangUp('before_answer')), await world.tool('calm', ok())];
    const { action_id } = (await world.run({ agent_id: agent, tool, args: {} })).body;
    const lock = await lockRows('actions where action_id = $1', [action_id]);
    const resolve = () => world.rest.post(`/v1/actions/${action_id}/resolve`, { outcome: 'not_executed' });
    const resolving = Promise.all(Array.from({ length: ABREAST }, resolve));
    await lock.isWaitedFor();
    await expectTheRestToWork([world.rest], calm);
    expect(new Set((await resolving).map(({ status }) => status))).toEqual(new Set([503]));
    await lock.release();
    expect((await resolve()).body.status).toBe('failed');
  });

  test('or one tenant', async () => {
    const [stuck, calm] = [await world.tenant('stuck'), await world.tool('calm', ok())];
    const tool = await toolOf(stuck);
    const lock = await lockRows('tenants where tenant = $1', [stuck.tenant]);
    const call = (n: number) => stuck.post('/v1/ai/run', { agent_id: `agent-${n}`, tool, args: { n }, wait: 1 });
    const calls = Promise.all(Array.from({ length: ABREAST }, (_, n) => call(n)));
    await lock.isWaitedFor();
    await expectTheRestToWork([world.rest], calm);
    expect((await stuck.get('/v1/actions')).status).toBe(200);
    (await calls).forEach(isToldAsItIs);
    expect(callsOf(world, tool)).toEqual([]);
    await lock.release();
    await eventually(() => expect(callsOf(world, tool)).toHaveLength(ABREAST));
    const made = callsOf(world, tool).map(({ idempotencyKey }) => idempotencyKey);
    expect(new Set(made).size).toBe(ABREAST);
  });
});

describe('while calls wait for a row that is locked from outside, a switch turns', () => {
  test('of one tool of the tenant, where the row is an agent', async () => {
    const agent = unique('stuck');
    const [tool, stopped] = [await world.tool('charge', ok()), await world.tool('stopped', ok())];
    await world.run({ agent_id: agent, tool, args: {} });
    const lock = await lockRows('agents where agent_id = $1', [agent]);
    for (let n = 0; n < 10; n += 1) await world.run({ agent_id: agent, tool, args: { n }, wait: 0 });
    await lock.isWaitedFor();
    for (let n = 0; n < 3; n += 1) {
      expect((await world.rest.post('/v1/kill', { scope: 'tool', tool: stopped })).status).toBe(200);
      expect((await world.rest.post('/v1/unkill', { scope: 'tool', tool: stopped })).status).toBe(200);
    }
    await lock.release();
    await eventually(() => expect(callsOf(world, tool)).toHaveLength(11));
  });

  test('of their own agent, where the row is a tool; nothing of it leaves any more', async () => {
    const agent = unique('stuck');
    const tool = await world.tool('charge', ok());
    await world.run({ agent_id: agent, tool, args: {} });
    const lock = await lockRows('tools where name = $1', [tool]);
    for (let n = 0; n < 10; n += 1) await world.run({ agent_id: agent, tool, args: { n }, wait: 0 });
    await lock.isWaitedFor();
    expect((await world.rest.post(`/v1/agents/${agent}/disable`, {})).status).toBe(200);
    await lock.release();
    await eventually(async () => {
      const rows = await world.query(`select status from actions where agent_id = $1 and status <> 'blocked'`, [agent]);
      expect(rows).toEqual([{ status: 'executed' }]);
    });
    expect(callsOf(world, tool)).toHaveLength(1);
  });
});

async function toolOf(rest: Rest): Promise<string> {
  const name = unique('tool');
  const auth = { type: 'hmac_sha256', secret: 'a-secret-of-the-tests' };
  const tool = { name, url: world.receiver.endpoint(`/${name}`, ok()), auth };
  expect((await rest.post('/v1/tools', tool)).status).toBe(200);
  return name;
}
