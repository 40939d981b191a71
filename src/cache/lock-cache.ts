import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';

/** A lock that is known to be taken. */
export interface KnownLock {
  readonly firstSeenAt: string;
  /** Seconds it was taken for. */
  readonly ttl: number;
  /** Hash of who took it; absent where it was taken by nobody in particular. */
  readonly owner?: string;
}

/** Remembers taken locks, so that a duplicate needs no call to Temporal. Losing it changes no answer. */
export interface LockCache {
  find(tenant: string, key: string): Promise<KnownLock | undefined>;
  /** Keeps a lock for `milliseconds` (none or fewer: not at all), which have to end before the lock does. */
  keep(tenant: string, key: string, lock: KnownLock, milliseconds: number): Promise<void>;
  forget(tenant: string, key: string): Promise<void>;
}

/** Locks an API process remembers at the most (about 300 bytes each). */
const MAX_LOCKS = 100_000;

const slot = (tenant: string, key: string): string => `${tenant}/${key}`;

/** The twin of the Redis cache for a deployment of one process. */
export function createMemoryLockCache(): LockCache {
  const locks = new LRUCache<string, KnownLock>({ max: MAX_LOCKS, ttlAutopurge: false });
  return {
    find: async (tenant, key) => locks.get(slot(tenant, key)),
    keep: async (tenant, key, lock, milliseconds) => {
      if (milliseconds > 0) locks.set(slot(tenant, key), lock, { ttl: milliseconds });
    },
    forget: async (tenant, key) => {
      locks.delete(slot(tenant, key));
    },
  };
}

/** Shared by every API process. An unreachable Redis finds nothing and keeps nothing. */
export function createRedisLockCache(redis: Redis): LockCache {
  const place = (tenant: string, key: string): string =>
    `onceonly:lock:${tenant}:${createHash('sha256').update(key).digest('base64url')}`;
  return {
    async find(tenant, key) {
      const kept = await redis.get(place(tenant, key)).catch(() => null);
      return kept === null ? undefined : (JSON.parse(kept) as KnownLock);
    },
    async keep(tenant, key, lock, milliseconds) {
      if (milliseconds <= 0) return;
      await redis.set(place(tenant, key), JSON.stringify(lock), 'PX', milliseconds).catch(() => undefined);
    },
    async forget(tenant, key) {
      await redis.del(place(tenant, key)).catch(() => undefined);
    },
  };
}
