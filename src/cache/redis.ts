import { Redis } from 'ioredis';
import type { Logger } from 'pino';

/** A cache that takes longer than this is slower than what it shortens. */
const COMMAND_TIMEOUT_MS = 200;

/**
 * A connection to Redis for caches only: a command fails at once while Redis is away, and the connection comes back by
 * itself. State changes are logged once each.
 */
export function openRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: 2_000,
    retryStrategy: (times) => Math.min(times * 100, 2_000),
  });
  let reachable: boolean | undefined;
  const now = (is: boolean) => {
    if (reachable !== is) log.info({ reachable: is }, is ? 'redis is reachable' : 'redis is away, going on without it');
    reachable = is;
  };
  redis.on('ready', () => now(true));
  redis.on('error', () => now(false));
  redis.on('close', () => now(false));
  return redis;
}
