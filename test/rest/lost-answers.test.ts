import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { routes } from '../../src/api/routes/index.ts';
import { ok } from '../../src/dev/behaviours.ts';
import { type LossyNetwork, startLossyNetwork } from '../stack/lossy.ts';
import { type Answer, createRest, type Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { type Case, cases, type Sent } from './lost-answers.cases.ts';

let world: World;
let network: LossyNetwork;
let client: Rest;
let database: pg.Client;
beforeAll(async () => {
  world = await buildWorld();
  network = await startLossyNetwork(world.rest.url);
  client = createRest(network.url, world.rest.key);
  database = new pg.Client({ connectionString: world.env.DATABASE_URL });
  await database.connect();
});
afterEach(() => database.query('rollback'));
afterAll(async () => {
  await database.end();
  await network.close();
  await world.close();
});

const counted = async ({ count: [sql, ...values] }: Sent) => Number((await world.query(sql, values))[0]?.n);
const send = ({ path, body, headers }: Sent): Promise<Answer> => client.post(path, body, headers);
const lines = (type: string, column: string, value: string) =>
  world.query(`select 1 from audit where type = $1 and ${column} = $2`, [type, value]);

/** What clients do: the same again, after the connection broke. */
async function insist(sent: Sent): Promise<Answer> {
  await expect(send(sent)).rejects.toThrow();
  return await send(sent);
}

/** Nothing can be written down until `release`; so a request that has to be is in flight until then. */
async function holdWrites(): Promise<{ blocked: () => Promise<void>; release: () => Promise<void> }> {
  await database.query('begin');
  await database.query('lock table audit, events in exclusive mode');
  return {
    blocked: () =>
      vi.waitFor(async () => {
        const waiting = await world.query(`select 1 from pg_locks where not granted and database = (
          select oid from pg_database where datname = current_database())`);
        expect(waiting).not.toHaveLength(0);
      }, 5_000),
    release: async () => {
      await database.query('rollback');
    },
  };
}

const told = (answer: Answer, { status = 200, answer: expected }: Case) => {
  expect(answer).toMatchObject({ status, body: expected });
};
const saysTheSame = (answer: Answer, { same = [] }: Case) => {
  const first = network.lost.at(-1)?.body;
  for (const field of same) expect(answer.body[field], field).toEqual(first[field]);
};

test('every POST has a case', () => {
  const posts = routes.filter(({ method }) => method === 'post').map(({ path }) => path);
  expect([...new Set(cases.map(({ route }) => route))].sort()).toEqual([...posts].sort());
});

describe.each(cases.map((one) => [`${one.route} ${one.what ?? ''}`, one] as const))('POST %s', (_name, one) => {
  test('whose answer was lost is done once, and its repeat is answered', async () => {
    const sent = await one.arrange(world);
    const before = await counted(sent);
    network.lose('answer');
    const answer = await insist(sent);
    told(answer, one);
    saysTheSame(answer, one);
    told(await send(sent), one);
    expect((await counted(sent)) - before).toBe(one.times ?? 1);
  });

  test('that is repeated while it is in flight is done once, and both are answered', async () => {
    const sent = await one.arrange(world);
    const before = await counted(sent);
    const writes = await holdWrites();
    network.lose('request');
    await expect(send(sent)).rejects.toThrow();
    if (one.times !== 0) await writes.blocked();
    const handedOn = network.handedOn();
    const repeat = send(sent);
    await vi.waitFor(() => expect(network.handedOn()).toBe(handedOn + 1));
    await writes.release();
    const answer = await repeat;
    told(answer, one);
    await network.quiet();
    saysTheSame(answer, one);
    expect((await counted(sent)) - before).toBe(one.times ?? 1);
  });
});

describe('what a repeat cannot be known by', () => {
  test('a lock without an owner is a duplicate, a lease without one is held by someone', async () => {
    const [lock, lease] = [unique('lock'), unique('lease')];
    network.lose('answer');
    const duplicate = await insist({ path: '/v1/check-lock', body: { key: lock }, count: [''] });
    network.lose('answer');
    const polling = await insist({ path: '/v1/ai/lease', body: { key: lease }, count: [''] });
    expect(duplicate.body).toMatchObject({ success: false, status: 'duplicate' });
    expect(polling.body).toMatchObject({ status: 'polling', lease_id: null, charged: 0 });
    expect(await lines('ai_acquired', 'key', lease)).toHaveLength(1);
  });

  test('a tenant without an Idempotency-Key exists', async () => {
    network.lose('answer');
    const answer = await insist({ path: '/v1/tenants', body: { tenant: unique('tenant') }, count: [''] });
    expect([answer.status, answer.body.detail.error]).toEqual([409, 'tenant_exists']);
  });
});

describe('a repeat', () => {
  test('reaches the tool once, and is charged once', async () => {
    const tool = await world.tool('charge', ok());
    const sent = {
      path: '/v1/ai/run',
      body: { agent_id: unique('agent'), tool, args: { n: 1 } },
      count: [''],
    } as const;
    const usage = async () => (await world.rest.get('/v1/usage?kind=ai')).body.usage;
    const before = await usage();
    network.lose('answer');
    expect((await insist(sent)).body).toMatchObject({ ok: true, decision: 'dedup' });
    expect(world.receiver.calls.filter(({ path }) => path === `/${tool}`)).toHaveLength(1);
    expect((await usage()) - before).toBe(1);
  });

  test('of an event under an Idempotency-Key with another body is a mismatch', async () => {
    const headers = { 'idempotency-key': unique('event') };
    const event = { run_id: unique('run'), type: 'note', message: 'one' };
    await world.rest.post('/v1/events', event, headers);
    const { status, body } = await world.rest.post('/v1/events', { ...event, message: 'two' }, headers);
    expect([status, body.detail.error]).toEqual([422, 'idempotency_mismatch']);
  });

  test('of an operator who says otherwise, or of an action that was never in doubt, is refused', async () => {
    const tool = await world.tool('charge', ok());
    const { action_id } = (await world.run({ agent_id: unique('agent'), tool })).body;
    const { result } = (await world.rest.get(`/v1/actions/${action_id}`)).body;
    for (const body of [{ outcome: 'executed', result }, { outcome: 'not_executed' }]) {
      expect((await world.rest.post(`/v1/actions/${action_id}/resolve`, body)).status).toBe(409);
    }
  });

  test('of a policy that has changed since is a change', async () => {
    const agent = unique('agent');
    const save = async (limit: number) =>
      (await world.rest.post(`/v1/policies/${agent}`, { max_actions_per_hour: limit })).body.policy_version;
    expect([await save(1), await save(1), await save(2), await save(1), await save(1)]).toEqual([1, 1, 2, 3, 3]);
  });
});
