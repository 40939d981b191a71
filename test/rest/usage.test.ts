import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, hangUp, ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const get = async (path: string) => (await world.rest.get(path)).body;
const check = (key: string, owner?: string) => world.rest.post('/v1/check-lock', { key, ttl: 60, owner });
const lease = (key: string, fields = {}) => world.rest.post('/v1/ai/lease', { key, ttl: 60, ...fields });
const today = async () => String((await world.query(`select to_char(now() at time zone 'utc', 'YYYY-MM-DD') d`))[0]?.d);

/** What a meter counts more after some work than before. */
async function growth(kind: 'make' | 'ai', work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await get(`/v1/usage?kind=${kind}`);
  await work();
  const after = await get(`/v1/usage?kind=${kind}`);
  const grown = Object.entries(after).filter(([, value]) => typeof value === 'number');
  return Object.fromEntries(grown.map(([name, value]) => [name, Number(value) - before[name]]));
}

describe('the month', () => {
  test('of check-lock is used by the duplicates that were blocked', async () => {
    const key = unique('key');
    const grown = await growth('make', async () => {
      for (const owner of ['me', 'me', 'you', undefined]) await check(key, owner);
      await lease(unique('lease'));
    });
    expect(grown).toEqual({
      usage: 2,
      requests_total_month: 4,
      blocked_total_month: 0,
      charged_total_month: 2,
      polling_total_month: 0,
    });
  });

  test('of AI is used by acquired leases and executed calls; polling, blocks, failures and repeats are free', async () => {
    const [works, fails] = [await world.tool('works', ok()), await world.tool('fails', fail(400))];
    const [agent, disabled, key] = [unique('agent'), unique('agent'), unique('lease')];
    await world.rest.post(`/v1/agents/${disabled}/disable`);
    const grown = await growth('ai', async () => {
      for (let n = 0; n < 3; n += 1) await lease(key); // one acquired, two polls
      for (let n = 0; n < 2; n += 1) await world.run({ agent_id: agent, tool: works }); // executed, repeated
      await world.run({ agent_id: agent, tool: fails });
      await world.run({ agent_id: disabled, tool: works });
      await world.run({ agent_id: agent, tool: 'unknown' });
      await check(unique('key'));
    });
    expect(grown).toEqual({
      usage: 2,
      requests_total_month: 8,
      blocked_total_month: 0,
      charged_total_month: 2,
      polling_total_month: 2,
    });
  });

  test('counts an action in doubt once it is resolved', async () => {
    const tool = await world.tool('breaks', hangUp('before_answer'));
    let id = '';
    const none = await growth('ai', async () => {
      id = (await world.run({ agent_id: unique('agent'), tool })).body.action_id;
    });
    const one = await growth('ai', () => world.rest.post(`/v1/actions/${id}/resolve`, { outcome: 'executed' }));
    expect([none.usage, none.requests_total_month, one.usage, one.requests_total_month]).toEqual([0, 0, 1, 1]);
  });

  test('is that of both meters at once, also in the headers', async () => {
    const { body, headers } = await world.rest.get('/v1/usage/all');
    const month = (await today()).slice(0, 7);
    const [make, ai] = [await get('/v1/usage'), await get('/v1/usage?kind=ai')];
    expect([make.plan, make.month, make.limit]).toEqual(['self_hosted', month, null]);
    expect({ ...body.make, plan: body.plan, month: body.month }).toEqual(make);
    expect({ ...body.ai, plan: body.plan, month: body.month }).toEqual(ai);
    expect([headers.get('x-onceonly-plan'), headers.get('x-onceonly-month')]).toEqual(['self_hosted', month]);
  });

  test('is the sum of its days, and of no day before it', async () => {
    const month = (await today()).slice(0, 7);
    const insert = `insert into usage_days values ('default', 'duplicates', ($1 || '-01')::date + $2::integer, 99, 1000)`;
    const grown = await growth('make', async () => {
      await world.query(insert, [month, 0]);
      await world.query(insert, [month, -1]);
    });
    expect(grown.usage).toBe(1000);
    await world.query('delete from usage_days where shard = 99');
  });

  test('shows in a lease what counts against its limit', async () => {
    const { body } = await lease(unique('lease'));
    expect(body).toMatchObject({ usage: (await get('/v1/usage?kind=ai')).usage, limit: null, charged: 1 });
  });

  test('has no other meters', async () => {
    expect((await world.rest.get('/v1/usage?kind=other')).status).toBe(422);
  });
});

describe('the days', () => {
  const metrics = (from: string, to: string) => world.rest.get(`/v1/metrics?from_day=${from}&to_day=${to}`);

  test('tell what was checked, locked, acquired, completed and failed', async () => {
    const day = await today();
    const [before] = (await metrics(day, day)).body;
    const key = unique('key');
    for (let n = 0; n < 3; n += 1) await check(key);
    for (const ending of ['complete', 'fail', 'cancel'] as const) {
      const { body } = await lease(unique(ending));
      await world.rest.post(`/v1/ai/${ending}`, { key: body.key, lease_id: body.lease_id, error_code: 'broken' });
    }
    const [after] = (await metrics(day, day)).body;
    const grown = Object.fromEntries(
      Object.entries(after as Record<string, number>)
        .filter(([name]) => name !== 'day')
        .map(([name, count]) => [name, count - before[name]]),
    );
    expect([after.day, grown]).toEqual([
      day,
      {
        checks_total: 3,
        locks_created: 1,
        duplicates_blocked: 2,
        rate_limited: 0,
        ai_acquired: 3,
        ai_completed: 1,
        ai_failed: 1,
      },
    ]);
  });

  test('are all there, in their order, those without a request with zeros', async () => {
    const { body } = await metrics('2024-02-27', '2024-03-01');
    const days = body.map(({ day }: { day: string }) => day);
    expect(days).toEqual(['2024-02-27', '2024-02-28', '2024-02-29', '2024-03-01']);
    expect(body[0]).toEqual({
      day: '2024-02-27',
      checks_total: 0,
      locks_created: 0,
      duplicates_blocked: 0,
      rate_limited: 0,
      ai_acquired: 0,
      ai_completed: 0,
      ai_failed: 0,
    });
  });

  test('are the last thirty where none are named', async () => {
    const body = await get('/v1/metrics');
    expect([body.length, body.at(-1).day]).toEqual([30, await today()]);
  });

  test.each([
    ['2024-01-01', '2024-12-31', 200],
    ['2024-01-01', '2025-01-01', 422],
    ['2024-01-02', '2024-01-01', 422],
    ['2024-02-30', '2024-03-01', 422],
    ['0000-01-01', '0000-01-02', 422],
    ['yesterday', '2024-01-01', 422],
  ])('from %s to %s are answered with %i', async (from, to, status) => {
    expect((await metrics(from, to)).status).toBe(status);
  });
});

describe('notifications', () => {
  const all = { email_notifications_enabled: true, tool_error_notifications_enabled: true };
  const set = (body: object) => world.rest.post('/v1/me/notifications', body);

  test('are changed by any subset, answered whole, and shown by /v1/me', async () => {
    const none = await set({ tool_error_notifications_enabled: false });
    expect(none.body).toEqual({
      ...all,
      tool_error_notifications_enabled: false,
      run_failure_notifications_enabled: true,
    });
    expect(await get('/v1/me')).toMatchObject(none.body);
    const again = await set({ ...all, run_failure_notifications_enabled: null });
    expect(again.body).toEqual({ ...all, run_failure_notifications_enabled: true });
    await set(all);
    const lines = await world.query(`select 1 from audit where type = 'notifications_set'`);
    expect(lines).toHaveLength(2);
  });

  test.each([{}, { email_notifications_enabled: null }, { other: true }])(
    'are answered as they are where %j names none of them',
    async (body) => {
      const before = (await set({})).body;
      expect(await set(body)).toMatchObject({ status: 200, body: before });
    },
  );

  test('are not changed by what is no yes or no', async () => {
    expect((await set({ email_notifications_enabled: 'yes' })).status).toBe(422);
    expect((await world.rest.post('/v1/me/notifications')).status).toBe(422);
  });
});
