import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { createBreaker, NotAsked } from './breaker.ts';

/** A cache that takes longer than this is slower than what it shortens. */
const PATIENCE = { timeoutMs: 50, failures: 3, pauseMs: 2_000 };
const IDENTIFY_AGAIN_MS = 2_000;

/** A Redis for caches only, which other deployments may use too. */
export interface SharedRedis {
  /**
   * Asks it, under names that begin with `prefix`.
   *
   * @throws within 50 ms where it does not answer; at once where it has not lately, or where it is not known yet whose names
   * these are. Whoever asks has a way to go on without.
   */
  ask<T>(command: (redis: Redis, prefix: string) => Promise<T>): Promise<T>;
  close(): void;
}

export interface SharedRedisOptions {
  readonly url: string;
  readonly log: Logger;
  /**
   * What is this deployment's alone, and every process of it agrees on; asked until it answers. Two that read each other's
   * locks would tell one that an action is taken which only the other has done.
   */
  readonly identify: () => Promise<readonly string[]>;
}

/** Connects to Redis. A connection that is lost comes back by itself; changes of its state are logged once each. */
export function openRedis({ url, log, identify }: SharedRedisOptions): SharedRedis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    retryStrategy: (times) => Math.min(times * 100, 2_000),
  });
  const closed = new AbortController();
  let prefix: string | undefined;
  let reachable: boolean | undefined;
  const now = (is: boolean) => {
    if (reachable !== is) log.info({ reachable: is }, is ? 'redis is reachable' : 'redis is away, going on without it');
    reachable = is;
  };
  const breaker = createBreaker({ ...PATIENCE, turned: now });
  redis.on('ready', () => {
    breaker.close();
    now(true);
  });
  redis.on('error', () => now(false));
  redis.on('close', () => now(false));
  void learnPrefix();

  async function learnPrefix(): Promise<void> {
    while (!closed.signal.aborted) {
      try {
        prefix = prefixOf(await identify());
        return;
      } catch (error) {
        log.debug({ err: error }, 'what to call things in redis is not known yet');
        await sleep(IDENTIFY_AGAIN_MS, undefined, { signal: closed.signal }).catch(() => undefined);
      }
    }
  }

  return {
    async ask(command) {
      const names = prefix;
      if (names === undefined) throw new NotAsked();
      return await breaker.ask(() => command(redis, names));
    },
    close() {
      closed.abort();
      redis.disconnect();
    },
  };
}

const prefixOf = (identity: readonly string[]): string =>
  `onceonly:${createHash('sha256').update(JSON.stringify(identity)).digest('base64url').slice(0, 16)}`;
