import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createRedisLimiter } from '../../src/cache/limiter.ts';
import { type Clocks, createRedisLockCache } from '../../src/cache/lock-cache.ts';
import { openRedis, type SharedRedis } from '../../src/cache/redis.ts';
import type { Redis as Server } from '../../src/dev/redis.ts';
import { eventually } from '../faults/scene.ts';
import { hasRedis } from '../stack/environment.ts';
import { type Outage, privateRedis } from '../stack/outage.ts';

const lock = { firstSeenAt: '2026-11-27T00:00:00.000Z', ttl: 60 };

describe.skipIf(!hasRedis())('a Redis that stands still', () => {
  let server: Outage<Server>;
  let direct: Redis;
  beforeEach(async () => {
    server = await privateRedis();
    direct = new Redis(server.service.url);
  });
  afterEach(async () => {
    await standing(false);
    direct.disconnect();
    await server.end();
  });

  const standing = async (is: boolean) => void process.kill(await server.pid(), is ? 'SIGSTOP' : 'SIGCONT');

  /** As one more process of a deployment has it, once it can be asked. */
  async function processOf(deployment: string): Promise<SharedRedis> {
    const log = pino({ level: 'silent' });
    const redis = openRedis({ url: server.service.url, log, identify: async () => [deployment] });
    onTestFinished(() => redis.close());
    await eventually(() => redis.ask((to) => to.ping()));
    return redis;
  }

  /** Asks until it is asked again, which is a matter of seconds. */
  const isBack = (redis: SharedRedis) => eventually(() => redis.ask((to) => to.ping()));

  test('and goes on does not make a lock longer, though it is told of the lock only then', async () => {
    const [taker, reader] = [await processOf('one'), await processOf('one')];
    const [taken, read] = [createRedisLockCache(taker), createRedisLockCache(reader)];
    await taken.find('default', 'key');
    await standing(true);
    // On its way for as long as Redis stands still, longer than the lock lasts.
    const kept = taken.keep('default', 'key', { ...lock, ttl: 1 }, 1_000);
    await Promise.all([kept, sleep(1_000)]);
    await standing(false);
    await isBack(reader);
    expect(await direct.keys('*:lock:*')).toHaveLength(1);
    expect(await read.find('default', 'key')).toBeUndefined();
  });

  test('is asked a few times, however many call, and answered for meanwhile', async () => {
    const redis = await processOf('one');
    const [cache, limiter] = [
      createRedisLockCache(redis),
      createRedisLimiter(redis, { name: 'guess', times: 5, perSeconds: 60 }),
    ];
    await cache.find('default', 'key');
    await limiter.take('slot');
    await direct.config('RESETSTAT');
    await standing(true);
    for (let n = 0; n < 300; n += 1) expect(await cache.find('default', `key-${n}`)).toBeUndefined();
    const waits = await Promise.all(Array.from({ length: 300 }, () => limiter.take('slot')));
    expect(waits.filter((wait) => wait === undefined)).toHaveLength(5);
    await cache.keep('default', 'key', lock, 60_000);
    expect(await cache.find('default', 'key')).toEqual(lock);
    await standing(false);
    await isBack(redis);
    const stats = await direct.info('commandstats');
    const arrived = [...stats.matchAll(/^cmdstat_(?:time|evalsha):calls=(\d+)/gm)].map(([, calls]) => Number(calls));
    expect(arrived.reduce((sum, calls) => sum + calls, 0)).toBeLessThan(30);
  });

  test('shows a deployment its own locks and counts, and not those of another that shares it', async () => {
    const [one, same, other] = [await processOf('one'), await processOf('one'), await processOf('other')];
    const [first, second, strange] = [one, same, other].map((redis) => createRedisLockCache(redis));
    await first?.find('default', 'key');
    await first?.keep('default', 'key', lock, 60_000);
    expect(await second?.find('default', 'key')).toEqual(lock);
    expect(await strange?.find('default', 'key')).toBeUndefined();
    const limiters = [one, same, other].map((redis) =>
      createRedisLimiter(redis, { name: 'guess', times: 1, perSeconds: 60 }),
    );
    const waits = [];
    for (const limiter of limiters) waits.push(await limiter.take('slot'));
    expect(waits).toEqual([undefined, expect.any(Number), undefined]);
  });

  test('is none where the process itself was busy: an answer that is there is read', async () => {
    const redis = await processOf('one');
    const pong = redis.ask((to) => to.ping());
    for (const until = performance.now() + 300; performance.now() < until; );
    expect(await pong).toBe('PONG');
  });

  test('is not asked before it is known whose names these are', async () => {
    let isKnown = false;
    const redis = openRedis({
      ...{ url: server.service.url, log: pino({ level: 'silent' }) },
      identify: async () => {
        if (!isKnown) throw new Error('the database is away');
        return ['one'];
      },
    });
    onTestFinished(() => redis.close());
    const cache = createRedisLockCache(redis);
    await cache.find('default', 'key');
    await cache.keep('default', 'key', lock, 60_000);
    expect(await direct.dbsize()).toBe(0);
    isKnown = true;
    await isBack(redis);
  });

  test.each<[string, Partial<Clocks>, boolean]>([
    ['as the taker has it', {}, true],
    ['an hour behind, as after a sleep', { wall: () => Date.now() - 3_600_000 }, true],
    ['past the end, whatever Redis says', { wall: () => Date.now() + 60_000 }, false],
  ])('is believed where the clock of the reader is %s: %s', async (_what, clock, isFound) => {
    const [taker, reader] = [await processOf('one'), await processOf('one')];
    const taken = createRedisLockCache(taker);
    await taken.find('default', 'key');
    await taken.keep('default', 'key', lock, 60_000);
    const read = createRedisLockCache(reader, { wall: Date.now, steady: () => performance.now(), ...clock });
    expect(await read.find('default', 'key')).toEqual(isFound ? lock : undefined);
  });

  test('counts all the time that a reading took as time that has passed', async () => {
    const [taker, reader] = [await processOf('one'), await processOf('one')];
    const taken = createRedisLockCache(taker);
    await taken.find('default', 'key');
    await taken.keep('default', 'key', lock, 60_000);
    let steady = 0;
    const slow = () => {
      steady += 60_000;
      return steady;
    };
    expect(await createRedisLockCache(reader, { wall: Date.now, steady: slow }).find('default', 'key')).toBeUndefined();
  });
});
