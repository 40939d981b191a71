import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { SharedRedis } from './redis.ts';

/** A lock that is known to be taken. */
export interface KnownLock {
  readonly firstSeenAt: string;
  /** Seconds it was taken for. */
  readonly ttl: number;
  /** Hash of who took it; absent where it was taken by nobody in particular. */
  readonly owner?: string;
}

/** Remembers taken locks, so that a duplicate needs no call to Temporal. Losing it changes no answer. Never rejects. */
export interface LockCache {
  find(tenant: string, key: string): Promise<KnownLock | undefined>;
  /** Keeps a lock for `milliseconds` (none or fewer: not at all), which have to end before the lock does. */
  keep(tenant: string, key: string, lock: KnownLock, milliseconds: number): Promise<void>;
}

/** Locks an API process remembers at the most (about 300 bytes each). */
const MAX_LOCKS = 100_000;

/** A cache of this process alone. */
export function createMemoryLockCache(): LockCache {
  const locks = new LRUCache<string, KnownLock>({ max: MAX_LOCKS, ttlAutopurge: false });
  const slot = (tenant: string, key: string): string => `${tenant}/${key}`;
  return {
    find: async (tenant, key) => locks.get(slot(tenant, key)),
    keep: async (tenant, key, lock, milliseconds) => {
      if (milliseconds > 0) locks.set(slot(tenant, key), lock, { ttl: milliseconds });
    },
  };
}

/** The clocks of this process, in milliseconds. */
export interface Clocks {
  /** Unix time, which may step. */
  readonly wall: () => number;
  /** Never steps. */
  readonly steady: () => number;
}

/** What Redis holds of a lock: itself, and its end by two clocks, in Unix milliseconds. */
interface Entry {
  readonly lock: KnownLock;
  /** By the clock of Redis, which all processes share. */
  readonly endsByRedis: number;
  /** By the clock of the process that took it. */
  readonly endsByWall: number;
}

/**
 * Shared by every API process; what one has taken itself it also remembers by itself. An unreachable Redis finds nothing and
 * keeps nothing.
 *
 * When Redis forgets an entry says nothing: it counts from when it got it, which may be long after it was sent. The end is
 * in the entry, as a moment, and has to lie ahead by both clocks of its reader: by Redis' own, read with the entry and
 * advanced by all the time that the reading took, so that processes need not agree on the time; and by the reader's, so that
 * a Redis whose clock stood still or was set back does not make a lock longer.
 */
export function createRedisLockCache(
  redis: SharedRedis,
  clocks: Clocks = { wall: Date.now, steady: () => performance.now() },
): LockCache {
  const own = createMemoryLockCache();
  /** What Redis' clock said, and when at the latest it said so by our steady one. */
  let reading: { readonly redisMs: number; readonly at: number } | undefined;
  const place = (prefix: string, tenant: string, key: string): string =>
    `${prefix}:lock:${tenant}:${createHash('sha256').update(key).digest('base64url')}`;

  async function read(tenant: string, key: string): Promise<KnownLock | undefined> {
    const sentAt = clocks.steady();
    const [time, kept] = await redis.ask(async (to, prefix) => {
      const answers = await to
        .pipeline()
        .time()
        .get(place(prefix, tenant, key))
        .exec();
      return (answers ?? []).map(([error, value]) => {
        if (error !== null) throw error;
        return value;
      });
    });
    const at = clocks.steady();
    const redisMs = millisecondsOf(time);
    reading = { redisMs, at };
    if (typeof kept !== 'string') return undefined;
    const { lock, endsByRedis, endsByWall } = JSON.parse(kept) as Entry;
    // Written so that what is no number is over.
    const isHeld = redisMs + (at - sentAt) < endsByRedis && clocks.wall() < endsByWall;
    return isHeld ? lock : undefined;
  }

  return {
    async find(tenant, key) {
      return (await own.find(tenant, key)) ?? (await read(tenant, key).catch(() => undefined));
    },
    async keep(tenant, key, lock, milliseconds) {
      if (milliseconds <= 0) return;
      await own.keep(tenant, key, lock, milliseconds);
      if (reading === undefined) return;
      // Redis' clock says at least this by now, so that the end is not put too late.
      const endsByRedis = reading.redisMs + (clocks.steady() - reading.at) + milliseconds;
      const entry: Entry = { lock, endsByRedis, endsByWall: clocks.wall() + milliseconds };
      await redis
        .ask((to, prefix) => to.set(place(prefix, tenant, key), JSON.stringify(entry), 'PX', Math.ceil(milliseconds)))
        .catch(() => undefined);
    },
  };
}

/** Of an answer to `TIME`: seconds and microseconds, as texts. */
function millisecondsOf(time: unknown): number {
  if (!Array.isArray(time)) return Number.NaN;
  return Number(time[0]) * 1_000 + Number(time[1]) / 1_000;
}
