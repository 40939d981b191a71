import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedis } from '../stack/environment.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

const caches = [
  { redis: false, name: 'with the cache in the process' },
  { redis: true, name: 'with the cache in Redis' },
];

describe.each(caches)('check-lock $name', ({ redis }) => {
  // Where redis-server is not installed there is nothing to test against; CI installs it.
  if (redis && !hasRedis()) return test.skip('redis-server is not installed');

  let world: World;
  beforeAll(async () => {
    // No worker anywhere: a lock needs none.
    world = await buildWorld({ redis, roles: ['api'] });
  });
  afterAll(() => world.close());

  const check = (body: object, headers?: Record<string, string>) => world.rest.post('/v1/check-lock', body, headers);

  test('locks a key, then says who was first', async () => {
    const key = unique('key');
    const before = Date.now();
    const first = await check({ key, ttl: 60 });
    const again = await check({ key, ttl: 60 });
    expect(first.body).toEqual({ success: true, status: 'locked', key, ttl: 60, first_seen_at: null });
    expect(again.body).toMatchObject({ success: false, status: 'duplicate', key, ttl: 60 });
    expect(Date.parse(again.body.first_seen_at)).toBeGreaterThanOrEqual(before - 1_000);
    expect([first, again].map(({ headers }) => headers.get('x-onceonly-status'))).toEqual(['locked', 'duplicate']);
  });

  test('of 200 callers at once exactly one is locked', async () => {
    const key = unique('key');
    const answers = await Promise.all(Array.from({ length: 200 }, () => check({ key, ttl: 60 })));
    const statuses = answers.map(({ body }) => body.status);
    expect(statuses.filter((status) => status === 'locked')).toHaveLength(1);
    expect(statuses.filter((status) => status === 'duplicate')).toHaveLength(199);
  });

  test('gives its lock again to the same owner and to nobody else, also when the lock has been taken before', async () => {
    const key = unique('key');
    const statusFor = async (owner?: string) => (await check({ key, ttl: 10, owner })).body.status;
    expect(await statusFor('me')).toBe('locked');
    expect([await statusFor('me'), await statusFor('you'), await statusFor()]).toEqual([
      'locked',
      'duplicate',
      'duplicate',
    ]);
    expect((await check({ key }, { 'x-onceonly-owner': 'me' })).body.status).toBe('locked');
  });

  test('frees a key at its time to live, with no worker running, for its owner and for others', async () => {
    const [mine, others] = [unique('mine'), unique('others')];
    await Promise.all([check({ key: mine, ttl: 10, owner: 'me' }), check({ key: others, ttl: 10 })]);
    await expect
      .poll(async () => (await check({ key: others, ttl: 10, owner: 'other' })).body.status, {
        timeout: 30_000,
        interval: 200,
      })
      .toBe('locked');
    await expect
      .poll(async () => (await check({ key: mine, ttl: 60, owner: 'you' })).body.status, {
        timeout: 30_000,
        interval: 200,
      })
      .toBe('locked');
    const statusFor = async (owner: string) => (await check({ key: mine, ttl: 60, owner })).body.status;
    expect([await statusFor('me'), await statusFor('you')]).toEqual(['duplicate', 'locked']);
  });

  test('an owner whose lock ran out and was taken again by itself is still known after the cache is lost', async () => {
    const key = unique('key');
    await check({ key, ttl: 10, owner: 'me' });
    await sleep(10_500);
    expect((await check({ key, ttl: 60, owner: 'me' })).body.status).toBe('locked');
    await world.kill('api', 'SIGKILL');
    await world.start('api');
    const statusFor = async (owner: string) => (await check({ key, ttl: 60, owner })).body.status;
    expect([await statusFor('me'), await statusFor('you')]).toEqual(['locked', 'duplicate']);
  });

  test('keys that SQL, URLs or workflow IDs could stumble over are told apart', async () => {
    const tag = unique('');
    const keys = [
      `a/b${tag}`,
      `a%2Fb${tag}`,
      `a b${tag}`,
      `a\nb${tag}`,
      `'; --${tag}`,
      `k:${tag}`,
      `h:${tag}`,
      `\u00e9${tag}`,
      `e\u0301${tag}`,
    ];
    const long = [
      `${'x'.repeat(255 - tag.length)}${tag}`,
      `${'x'.repeat(254 - tag.length)}y${tag}`,
      `${'🦊'.repeat(240)}${tag}`,
    ];
    for (const key of [...keys, ...long])
      expect((await check({ key, ttl: 60 })).body).toMatchObject({ status: 'locked', key });
    for (const key of [...keys, ...long]) expect((await check({ key, ttl: 60 })).body.status).toBe('duplicate');
  });

  test.each([
    [undefined, 86_400],
    [3, 10],
    [99_999_999, 2_592_000],
    [null, 86_400],
  ])('a ttl of %s is granted as %i seconds', async (ttl, granted) => {
    expect((await check({ key: unique('key'), ttl })).body.ttl).toBe(granted);
  });

  test.each([
    { ttl: 0 },
    { ttl: -1 },
    { ttl: 1.5 },
    { ttl: '60' },
    { key: '' },
    { key: 7 },
    { key: 'x'.repeat(257) },
    { key: 'nul\u0000' },
    { metadata: [] },
    { metadata: { long: 'x'.repeat(2049) } },
    { owner: 'x'.repeat(129) },
  ])('refuses %j', async (fields) => {
    const { status, body } = await check({ key: unique('key'), ttl: 60, ...fields });
    expect(status).toBe(422);
    expect(body.detail[0]).toMatchObject({
      loc: ['body', Object.keys(fields)[0]],
      msg: expect.any(String),
      type: expect.any(String),
    });
  });

  test('every check is counted and audited before it is answered', async () => {
    const key = unique('key');
    for (let n = 0; n < 3; n += 1) await check({ key, ttl: 60, metadata: { n } });
    const rows = await world.query('select type, actor from audit where key = $1 order by id', [key]);
    expect(rows.map(({ type }) => type)).toEqual(['locked', 'duplicate', 'duplicate']);
    expect(new Set(rows.map(({ actor }) => actor))).toHaveLength(1);
  });
});

test('answers 409 to a duplicate where the deployment says so', async () => {
  const world = await buildWorld({ roles: ['api'], env: { DUPLICATE_STATUS_CODE: '409' } });
  try {
    const key = unique('key');
    const answers = [
      await world.rest.post('/v1/check-lock', { key }),
      await world.rest.post('/v1/check-lock', { key }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 409]);
    expect(answers[1]?.body.detail).toEqual({ error: 'Duplicate blocked', first_seen_at: expect.any(String) });
  } finally {
    await world.close();
  }
});
