import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { createLimits } from '../cache/limiter.ts';
import { createMemoryLockCache, createRedisLockCache } from '../cache/lock-cache.ts';
import { openRedis } from '../cache/redis.ts';
import type { Config } from '../config.ts';
import { createTargetGuard } from '../dispatch/guard.ts';
import { type ActionEngineDeps, createActions } from '../engine/action/actions.ts';
import { createAgents } from '../engine/agents.ts';
import { createApprovals } from '../engine/approvals.ts';
import { identifyNamespace, pingTemporal } from '../engine/connection.ts';
import { createDecisions } from '../engine/decisions.ts';
import { createLeases } from '../engine/leases.ts';
import { createLocks } from '../engine/locks.ts';
import { startLookUp } from '../engine/look-up.ts';
import type { Outcomes } from '../engine/outcomes.ts';
import type { Reach } from '../engine/reach.ts';
import type { SearchAttributes } from '../engine/search-attributes.ts';
import { createServerClock } from '../engine/server-clock.ts';
import { createStarter } from '../engine/start.ts';
import type { Judge } from '../judge/judge.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { createScraper } from '../metrics/scrape.ts';
import type { Stores } from '../store/stores.ts';
import { createApp } from './app.ts';
import { createAuthenticator } from './authenticate.ts';
import { listen, listenOptions } from './server.ts';

export interface ApiParts {
  readonly client: Client;
  /** A client on the connection of this process's own worker, where it has one. */
  readonly eagerClient?: Client;
  readonly stores: Stores;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Whether this process's own worker is at work, and what its SDK counts; absent where it has none. */
  readonly isWorkerReady?: () => boolean;
  readonly readSdkMetrics?: () => Promise<string>;
  readonly outcomes: Outcomes;
  readonly reach: Reach;
  readonly attributes: SearchAttributes;
  readonly judge: Judge;
  readonly resolveRow: ActionEngineDeps['resolveRow'];
}

export interface RunningApi {
  readonly url: string;
  /** Answers every accepted request, then closes what was opened here. */
  drain(): Promise<void>;
}

/**
 * Starts the REST API.
 *
 * @throws when the address is taken.
 */
export async function startApi(config: Config, parts: ApiParts): Promise<RunningApi> {
  const { client, eagerClient, stores, log, metrics, outcomes, reach, judge, attributes } = parts;
  const taskQueue = config.TEMPORAL_TASK_QUEUE;
  const start = createStarter({ client, eagerClient, taskQueue, attributes, clock: createServerClock() });
  // A lock is Temporal's and a key the database's: whoever shares both may share what is remembered of them.
  const identify = () => Promise.all([identifyNamespace(client), stores.identifyDeployment()]);
  const redis = config.REDIS_URL === undefined ? undefined : openRedis({ url: config.REDIS_URL, log, identify });
  const cache = redis === undefined ? createMemoryLockCache() : createRedisLockCache(redis);

  const ping = () => pingTemporal(client);

  const limits = createLimits(config, redis);
  const agents = createAgents({ outcomes, reach, ...stores });
  const joined = outcomes.join();
  const lookUp = startLookUp({ client, outcomes, actions: stores.actions });

  const app = createApp({
    config,
    log,
    stores,
    authenticator: createAuthenticator({ keys: stores.keys, guesses: limits.guesses }),
    guard: createTargetGuard(config.TOOL_ALLOWED_HOSTS),
    approvals: createApprovals({ outcomes, reach, ...stores }),
    limits,
    metrics,
    isWorkerReady: parts.isWorkerReady ?? (() => true),
    hasMasterKey: stores.masterKey.isProven,
    pingTemporal: ping,
    scrape: createScraper({ ...parts, readStanding: stores.readStanding, pingTemporal: ping }),
    locks: createLocks({ start, client, cache, recorder: stores.recorder, metrics }),
    judge,
    decisions: createDecisions({ ...stores, judge }),
    agents,
    leases: createLeases({ start, reach, ...stores }),
    actions: createActions({ ...parts, ...stores, start, uiUrl: config.TEMPORAL_UI_URL }),
  });
  const server = await listen(app, listenOptions(config, config.PORT));
  log.info({ url: server.url }, 'api started');
  return {
    url: server.url,
    async drain() {
      await server.drain();
      await Promise.all([agents.drained(), lookUp.stop(), joined.stop()]);
      redis?.close();
    },
  };
}
