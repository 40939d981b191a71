import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const acquire = (key: string, fields = {}) => world.rest.post('/v1/ai/lease', { key, ttl: 60, ...fields });
const end = (how: 'complete' | 'fail' | 'cancel' | 'extend', key: string, lease_id: string, fields = {}) =>
  world.rest.post(`/v1/ai/${how}`, { key, lease_id, ...(how === 'fail' && { error_code: 'boom' }), ...fields });
const status = (key: string) => world.rest.get(`/v1/ai/status?key=${encodeURIComponent(key)}`);
const result = (key: string) => world.rest.get(`/v1/ai/result?key=${encodeURIComponent(key)}`);

async function held(fields = {}): Promise<{ key: string; id: string; fence: number }> {
  const key = unique('lease');
  const { body } = await acquire(key, fields);
  expect(body.status).toBe('acquired');
  return { key, id: body.lease_id, fence: body.fence };
}

/** As if the time had passed: the row's clock is what counts. */
const pass = (key: string) =>
  world.query("update leases set expires_at = now() - interval '1 second' where key = $1", [key]);

describe('acquiring', () => {
  test('the first gets the lease, the others poll and do not learn its id', async () => {
    const key = unique('lease');
    const [first, second] = [await acquire(key), await acquire(key)];
    expect(first.body).toMatchObject({
      ok: true,
      status: 'acquired',
      key,
      ttl: 60,
      ttl_left: null,
      version: 1,
      charged: 1,
      fence: 1,
    });
    expect(first.body.lease_id).toMatch(/^lease_/);
    expect(second.body).toMatchObject({ ok: true, status: 'polling', lease_id: null, charged: 0, fence: 1 });
    expect(second.body.ttl_left).toBeGreaterThan(0);
    expect(second.body.retry_after_sec).toBeGreaterThan(0);
    expect(second.body.limit).toBeNull();
  });

  test('of 50 callers at once exactly one acquires', async () => {
    const key = unique('lease');
    const answers = await Promise.all(Array.from({ length: 50 }, () => acquire(key)));
    const statuses = answers.map(({ body }) => body.status);
    expect(statuses.filter((got) => got === 'acquired')).toHaveLength(1);
    expect(statuses.filter((got) => got === 'polling')).toHaveLength(49);
  });

  test('the same owner gets its own lease again, uncharged', async () => {
    const key = unique('lease');
    const [first, again, other] = [
      await acquire(key, { owner: 'me' }),
      await acquire(key, { owner: 'me' }),
      await acquire(key, { owner: 'you' }),
    ];
    expect(again.body).toMatchObject({ status: 'acquired', lease_id: first.body.lease_id, fence: 1, charged: 0 });
    expect(other.body).toMatchObject({ status: 'polling', lease_id: null });
  });

  test('usage counts acquired leases alone', async () => {
    const before = (await acquire(unique('lease'))).body.usage;
    const key = unique('lease');
    const usages = [await acquire(key), await acquire(key)].map(({ body }) => body.usage);
    expect(usages).toEqual([before + 1, before + 1]);
  });
});

describe('holding', () => {
  test('extending raises the version and the time left', async () => {
    const { key, id, fence } = await held();
    const extended = await end('extend', key, id, { ttl: 600 });
    expect(extended.body).toEqual({ ok: true, status: 'extended', key, ttl: 600, version: 2, fence });
    expect((await end('extend', key, id)).body).toMatchObject({ ttl: 600, version: 3 });
    expect((await status(key)).body).toMatchObject({ status: 'in_progress', version: 3, lease_id: null });
    expect((await status(key)).body.ttl_left).toBeGreaterThan(500);
  });

  test('forty extensions at once are forty extensions', async () => {
    const { key, id } = await held();
    const answers = await Promise.all(Array.from({ length: 40 }, () => end('extend', key, id, { ttl: 600 })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ body }) => body.version)).size).toBe(40);
  });

  test.each(['extend', 'complete', 'fail', 'cancel'] as const)(
    '%s by another id is a mismatch, of an unknown key 404',
    async (how) => {
      const { key } = await held();
      const foreign = await end(how, key, 'lease_of_someone_else');
      const unknown = await end(how, unique('lease'), 'lease_x');
      expect([foreign.status, foreign.body.detail.error]).toEqual([409, 'lease_mismatch']);
      expect([unknown.status, unknown.body.detail.error]).toEqual([404, 'lease_not_found']);
      expect((await status(key)).body.status).toBe('in_progress');
    },
  );

  test('a lease that ran out reads failed, cannot be changed, and can be acquired with a higher fence', async () => {
    const { key, id } = await held();
    await pass(key);
    expect((await status(key)).body).toMatchObject({
      ok: false,
      status: 'failed',
      error_code: 'expired',
      ttl_left: null,
    });
    for (const how of ['extend', 'complete', 'fail', 'cancel'] as const) {
      const { status: code, body } = await end(how, key, id);
      expect([how, code, body.detail.error]).toEqual([how, 409, 'lease_not_active']);
    }
    expect((await result(key)).body).toMatchObject({ status: 'failed', error_code: 'expired', result: null });
  });

  test('runs out by itself, and is then acquired with the next fence', async () => {
    const key = unique('lease');
    const first = await acquire(key, { ttl: 10 });
    await expect
      .poll(async () => (await acquire(key)).body.status, { timeout: 40_000, interval: 250 })
      .toBe('acquired');
    const now = await status(key);
    expect([first.body.fence, now.body.fence]).toEqual([1, 2]);
    expect((await end('complete', key, first.body.lease_id)).body.detail.error).toBe('lease_mismatch');
  });
});

describe('ending', () => {
  test('completed: the result is there at once, for all, for good', async () => {
    const { key, id } = await held();
    const completed = await end('complete', key, id, { result: { answer: 42 } });
    const read = await result(key);
    expect(completed.body).toMatchObject({ ok: true, status: 'completed', key });
    expect(read.body).toMatchObject({ ok: true, status: 'completed', key, result: { answer: 42 }, error_code: null });
    expect(read.body.result_hash).toBe(completed.body.result_hash);
    expect((await acquire(key, { retry_failed: true })).body).toMatchObject({ status: 'completed', charged: 0 });
    expect((await end('extend', key, id)).body.detail.error).toBe('lease_not_active');
  });

  test('before the end there is no result', async () => {
    const { key } = await held();
    expect((await result(key)).body).toMatchObject({ ok: true, status: 'in_progress', result: null, done_at: null });
    expect((await result(unique('lease'))).status).toBe(404);
  });

  test.each([
    ['complete', { result: { a: 1 } }],
    ['fail', { error_code: 'boom' }],
    ['cancel', { reason: 'changed my mind' }],
  ] as const)('%s twice with the same id is no change, another ending is refused', async (how, fields) => {
    const { key, id } = await held();
    const [first, again] = [await end(how, key, id, fields), await end(how, key, id, fields)];
    const other = await end(how === 'fail' ? 'complete' : 'fail', key, id);
    expect(first.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect([other.status, other.body.detail.error]).toEqual([409, 'lease_not_active']);
    const trail = await world.query("select type from audit where key = $1 and type <> 'ai_acquired'", [key]);
    expect(trail).toHaveLength(1);
  });

  test('two equal endings at once both succeed', async () => {
    const { key, id } = await held();
    const answers = await Promise.all([1, 2, 3].map(() => end('complete', key, id, { result: { a: 1 } })));
    expect(answers.map(({ status: code }) => code)).toEqual([200, 200, 200]);
  });

  test('failed by its holder is final unless the next call retries', async () => {
    const { key, id } = await held();
    expect((await end('fail', key, id)).body).toMatchObject({ ok: true, status: 'failed', error_code: 'boom' });
    expect((await acquire(key)).body).toMatchObject({
      ok: false,
      status: 'failed',
      error_code: 'boom',
      lease_id: null,
    });
    expect((await acquire(key, { retry_failed: true })).body).toMatchObject({ status: 'acquired', fence: 2 });
  });

  test('canceled can be acquired again, with a higher fence', async () => {
    const { key, id } = await held();
    expect((await end('cancel', key, id)).body).toMatchObject({ status: 'failed', error_code: 'canceled' });
    expect((await acquire(key)).body).toMatchObject({ status: 'acquired', fence: 2 });
  });

  test('finished leases are remembered for 7 days, fences for ever', async () => {
    const { key, id } = await held();
    await end('complete', key, id, { result: {} });
    const age = (days: number) =>
      world.query('update leases set done_at = now() - make_interval(days => $2) where key = $1', [key, days]);
    await age(6);
    expect((await acquire(key)).body.status).toBe('completed');
    await age(8);
    expect((await status(key)).status).toBe(404);
    expect((await acquire(key)).body).toMatchObject({ status: 'acquired', fence: 2 });
  });

  test.each([[[]], ['text'], [7]])('a result that is no object (%j) is refused', async (value) => {
    const { key, id } = await held();
    expect((await end('complete', key, id, { result: value })).status).toBe(422);
    expect((await status(key)).body.status).toBe('in_progress');
  });
});
