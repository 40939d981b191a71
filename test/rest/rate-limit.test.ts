import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Redis } from '../../src/dev/redis.ts';
import { eventually } from '../faults/scene.ts';
import { hasRedis } from '../stack/environment.ts';
import { type Outage, privateRedis } from '../stack/outage.ts';
import type { Answer, Rest } from '../stack/rest.ts';
import { buildWorld, type World } from '../stack/world.ts';

const env = { API_RATE_LIMIT_PER_SECOND: '2' };

/** Far more requests at once than a second allows, again until one is refused, however slow the machine is. */
async function overdo(ask: () => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  while (!answers.some(({ status }) => status === 429)) {
    answers.push(...(await Promise.all(Array.from({ length: 20 }, ask))));
  }
  return answers;
}

const statuses = (answers: readonly Answer[]) => [...new Set(answers.map(({ status }) => status))].sort();
const me = (rest: Rest) => () => rest.get('/v1/me');

describe.each([{ redis: false }, { redis: true }])('a limit for each key (with Redis: $redis)', ({ redis }) => {
  let world: World;
  beforeAll(async () => {
    if (redis && !hasRedis()) return;
    world = await buildWorld({ roles: ['api'], env, redis });
  });
  afterAll(() => world?.close());

  describe.skipIf(redis && !hasRedis())('', () => {
    test('refuses what is too much, and says when to come again', async () => {
      const answers = await overdo(me(await world.tenant('busy')));
      expect(statuses(answers)).toEqual([200, 429]);
      for (const { headers, body } of answers.filter(({ status }) => status === 429)) {
        expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
        expect(body).toEqual({ detail: { error: 'rate_limited', message: expect.any(String) } });
      }
    });

    test('lets the same key in again later', async () => {
      const rest = await world.tenant('busy');
      await overdo(me(rest));
      await eventually(async () => expect((await rest.get('/v1/me')).status).toBe(200));
    });

    test('is not shared: another key of the tenant, and another tenant, are not refused for it', async () => {
      const busy = await world.tenant('busy');
      await overdo(me(busy));
      const [sibling, stranger] = [await world.key(busy.tenant), await world.tenant('calm')];
      expect((await sibling.get('/v1/me')).status).toBe(200);
      expect((await stranger.get('/v1/me')).status).toBe(200);
    });

    test('is looked at before the body, and after the key', async () => {
      const rest = await world.tenant('busy');
      const broken = () => rest.post('/v1/check-lock', '{not json');
      expect(statuses(await overdo(broken))).toEqual([422, 429]);

      await world.query('update api_keys set is_active = false where tenant = $1', [rest.tenant]);
      await eventually(async () => expect((await rest.get('/v1/me')).status).toBe(403));
      const answers = await Promise.all(Array.from({ length: 20 }, broken));
      expect(statuses(answers)).toEqual([403]);
    });

    test('counts what it refuses in the usage of the day, and writes no audit line for it', async () => {
      const rest = await world.tenant('busy');
      const refused = (await overdo(me(rest))).filter(({ status }) => status === 429).length;
      const count = `select coalesce(sum(count), 0)::int as n from (
        select * from usage_increments union all select tenant, kind, day, count from usage_days) counters
        where tenant = $1 and kind = 'rate_limited'`;
      await eventually(async () => expect(await world.query(count, [rest.tenant])).toEqual([{ n: refused }]));
      const days = (await (await world.key(rest.tenant)).get('/v1/metrics')).body as Array<{ rate_limited: number }>;
      expect(days.reduce((total, day) => total + day.rate_limited, 0)).toBe(refused);
      expect(await world.query('select * from audit where tenant = $1', [rest.tenant])).toEqual([]);
    });

    test('does not concern what needs no key', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(`${world.rest.url}/healthz`)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    });
  });
});

describe.skipIf(!hasRedis())('Redis is lost', () => {
  let redis: Outage<Redis>;
  let world: World;
  beforeAll(async () => {
    redis = await privateRedis();
    world = await buildWorld({ roles: ['api'], env: { ...env, REDIS_URL: redis.service.url } });
  });
  afterAll(async () => {
    await world?.close();
    await redis?.end();
  });

  test('and the limit goes on in each process, no request fails for it', async () => {
    const rest = await world.tenant('busy');
    expect(statuses(await overdo(me(rest)))).toEqual([200, 429]);
    await redis.takeDown({ crash: true });
    await eventually(async () => expect((await rest.get('/v1/me')).status).toBe(200));
    expect(statuses(await overdo(me(rest)))).toEqual([200, 429]);
    await redis.bringBack();
    await eventually(async () => expect((await rest.get('/v1/me')).status).toBe(200));
    expect(statuses(await overdo(me(rest)))).toEqual([200, 429]);
  });
});
