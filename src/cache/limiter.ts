import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { SharedRedis } from './redis.ts';

/** How often something may be done, in windows that begin with the first time (of at least a second). */
export interface Limit {
  /** What is limited; part of the key in Redis. */
  readonly name: string;
  readonly times: number;
  readonly perSeconds: number;
}

/** Counts by slot. Losing what it counts lets more through, never less. */
export interface Limiter {
  /** Takes one; the answer is how many milliseconds to wait where none is left, else undefined. Never rejects. */
  take(slot: string): Promise<number | undefined>;
  /** Gives back one that was taken. */
  giveBack(slot: string): Promise<void>;
}

/** Slots a process counts for at the most (about 200 bytes each): whoever asks under ever new ones pushes out its own. */
const MAX_SLOTS = 100_000;

/** Counts for this process alone. */
export function createMemoryLimiter({ times, perSeconds }: Limit): Limiter {
  const windows = new LRUCache<string, { taken: number; readonly until: number }>({ max: MAX_SLOTS });
  const windowOf = (slot: string) => {
    const now = performance.now();
    const open = windows.get(slot);
    if (open !== undefined && open.until > now) return open;
    const next = { taken: 0, until: now + perSeconds * 1000 };
    windows.set(slot, next);
    return next;
  };
  return {
    async take(slot) {
      const window = windowOf(slot);
      window.taken += 1;
      return window.taken > times ? window.until - performance.now() : undefined;
    },
    async giveBack(slot) {
      const window = windowOf(slot);
      window.taken = Math.max(0, window.taken - 1);
    },
  };
}

/** Counts for every process together. While Redis is away each counts for itself: no request fails for it, or waits long. */
export function createRedisLimiter(redis: SharedRedis, limit: Limit): Limiter {
  const twin = createMemoryLimiter(limit);
  let shared: RateLimiterRedis | undefined;
  const limiterOf = (storeClient: Redis, prefix: string) => {
    shared ??= new RateLimiterRedis({
      storeClient,
      keyPrefix: `${prefix}:${limit.name}`,
      points: limit.times,
      duration: limit.perSeconds,
      // A slot that is refused is refused without Redis until its window ends.
      inMemoryBlockOnConsumed: limit.times + 1,
    });
    return shared;
  };
  return {
    async take(slot) {
      try {
        return await redis.ask((to, prefix) =>
          limiterOf(to, prefix)
            .consume(slot)
            .then(() => undefined, waitOf),
        );
      } catch {
        return await twin.take(slot);
      }
    },
    async giveBack(slot) {
      await redis.ask((to, prefix) => limiterOf(to, prefix).reward(slot)).catch(() => twin.giveBack(slot));
    },
  };
}

/** Being refused is an answer. */
function waitOf(refused: unknown): number {
  if (refused instanceof RateLimiterRes) return refused.msBeforeNext;
  throw refused;
}

/** The API's limits; one that is not set is absent. */
export interface Limits {
  /** By key. */
  readonly keys: Limiter | undefined;
  /** By the network that unknown keys come from. */
  readonly guesses: Limiter | undefined;
}

export interface LimitConfig {
  readonly API_RATE_LIMIT_PER_SECOND: number;
  readonly KEY_GUESSES_PER_MINUTE: number;
}

/** Counts in Redis where there is one, else in the process. */
export function createLimits(config: LimitConfig, redis: SharedRedis | undefined): Limits {
  const limiter = (limit: Limit) => {
    if (limit.times === 0) return undefined;
    return redis === undefined ? createMemoryLimiter(limit) : createRedisLimiter(redis, limit);
  };
  return {
    keys: limiter({ name: 'rate', times: config.API_RATE_LIMIT_PER_SECOND, perSeconds: 1 }),
    guesses: limiter({ name: 'guess', times: config.KEY_GUESSES_PER_MINUTE, perSeconds: 60 }),
  };
}
