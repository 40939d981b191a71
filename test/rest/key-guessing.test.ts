import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedis } from '../stack/environment.ts';
import { createRest, type Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

const env = { KEY_GUESSES_PER_MINUTE: '5', TRUST_PROXY: 'loopback' };

let addresses = 0;
/** An address that no other test comes from (2001:db8:/32 is for documentation; the counts in Redis outlive a run). */
const network = () => {
  addresses += 1;
  const random = () => Math.floor(Math.random() * 0xffff).toString(16);
  return `2001:db8:${random()}:${addresses.toString(16)}`;
};
const from = (address: string) => ({ 'x-forwarded-for': address });

describe.each([{ redis: false }, { redis: true }])('guessing keys (with Redis: $redis)', ({ redis }) => {
  let world: World;
  beforeAll(async () => {
    if (redis && !hasRedis()) return;
    world = await buildWorld({ roles: ['api', 'all'], env, redis });
  });
  afterAll(() => world?.close());

  const guess = (address: string, url = world.rest.url) =>
    createRest(url, `once_live_${unique('guess')}`).get('/v1/me', from(address));
  const ask = async (rest: Rest, address: string) => (await rest.get('/v1/me', from(address))).status;
  const exhaust = (address: string) => Promise.all(Array.from({ length: 5 }, () => guess(address)));

  describe.skipIf(redis && !hasRedis())('', () => {
    test('is refused above the limit, with when to come again', async () => {
      const address = `${network()}::1`;
      const guesses = await Promise.all(Array.from({ length: 30 }, () => guess(address)));
      const of = (status: number) => guesses.filter((answer) => answer.status === status);
      expect([of(403).length, of(429).length]).toEqual([5, 25]);
      for (const { headers, body } of of(429)) {
        expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
        expect(body.detail.error).toBe('rate_limited');
      }
    });

    test('stops no key that was found good, and any other until it was', async () => {
      const [here, elsewhere] = [`${network()}::1`, `${network()}::1`];
      const [old, fresh] = [await world.tenant('old'), await world.tenant('fresh')];
      expect(await ask(old, here)).toBe(200);
      await exhaust(here);
      expect([await ask(old, here), await ask(fresh, here)]).toEqual([200, 429]);
      expect([await ask(fresh, elsewhere), await ask(fresh, here)]).toEqual([200, 200]);
    });

    test('does not make a revoked key good', async () => {
      const here = `${network()}::1`;
      const rest = await world.tenant('revoked');
      expect(await ask(rest, here)).toBe(200);
      await exhaust(here);
      await world.query('delete from api_keys where tenant = $1', [rest.tenant]);
      while ((await ask(rest, here)) === 200);
      expect(await ask(rest, here)).toBe(429);
    });

    test('is counted by network: an IPv6 /64, an IPv4 address however it is written', async () => {
      const net = network();
      await exhaust(`${net}:0:0:0:1`);
      expect((await guess(`${net}:ffff:ffff:ffff:ffff`)).status).toBe(429);
      expect((await guess(`${network()}::1`)).status).toBe(403);

      const host = `203.0.113.${Math.floor(Math.random() * 255)}`;
      for (let n = 0; n < 5; n += 1) await guess(host);
      expect((await guess(`::ffff:${host}`)).status).toBe(429);
    });

    test('is neither asking without a key, nor with good ones', async () => {
      const here = `${network()}::1`;
      for (let n = 0; n < 8; n += 1) {
        expect((await fetch(`${world.rest.url}/v1/me`, { headers: from(here) })).status).toBe(401);
        expect(await ask(await world.tenant('good'), here)).toBe(200);
      }
      expect((await guess(here)).status).toBe(403);
    });

    test('does not reach the database above the limit', async () => {
      const here = `${network()}::1`;
      await exhaust(here);
      const holder = new pg.Client({ connectionString: world.env.DATABASE_URL });
      await holder.connect();
      await holder.query('begin');
      await holder.query('lock table api_keys in access exclusive mode');
      expect((await guess(here)).status).toBe(429);
      await holder.query('rollback');
      await holder.end();
    });

    test.runIf(redis)('counts for all processes together', async () => {
      const here = `${network()}::1`;
      const other = world.processes.get('api')?.url ?? '';
      expect(other).not.toBe(world.rest.url);
      for (let n = 0; n < 5; n += 1) await guess(here, n % 2 === 0 ? other : world.rest.url);
      for (const url of [other, world.rest.url]) expect((await guess(here, url)).status).toBe(429);
    });
  });
});

test('without TRUST_PROXY a client’s own word on its address is not believed', async () => {
  const world = await buildWorld({ roles: ['api'], env: { KEY_GUESSES_PER_MINUTE: '3' } });
  try {
    const statuses: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      const rest = createRest(world.rest.url, `once_live_${unique('guess')}`);
      statuses.push((await rest.get('/v1/me', from(`198.51.100.${n}`))).status);
    }
    expect(statuses).toEqual([403, 403, 403, 429, 429]);
  } finally {
    await world.close();
  }
});
