import { Runtime, type Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../activities/index.ts';
import { createApp } from './api/app.ts';
import { listen } from './api/server.ts';
import { createMemoryLockCache, createRedisLockCache } from './cache/lock-cache.ts';
import { openRedis } from './cache/redis.ts';
import type { Config } from './config.ts';
import { createTargetGuard } from './dispatch/guard.ts';
import { createSender } from './dispatch/send.ts';
import { createActions } from './engine/actions.ts';
import { openClient, openWorkerConnection, temporalConfig } from './engine/connection.ts';
import { createLeases } from './engine/leases.ts';
import { createLocks } from './engine/locks.ts';
import { createSearchAttributes } from './engine/search-attributes.ts';
import { createStarter } from './engine/start.ts';
import { createWorker } from './engine/worker.ts';
import { createLogger, temporalLogger } from './log.ts';
import { createStores } from './store/stores.ts';

export type Role = 'api' | 'worker';

export interface ProductOptions {
  readonly roles: readonly Role[];
  /** Where the `TEMPORAL_…` variables are read from. */
  readonly environment: Record<string, string | undefined>;
}

export interface Product {
  /** Base of the REST API; empty for a worker alone. */
  readonly url: string;
  /** Present only where this start made the deployment's first key: it is not to be had again. */
  readonly bootstrapKey?: string;
  /** Resolves if the worker ends by itself, which only a fault makes it do. */
  readonly failed: Promise<unknown>;
  /** Takes no more work, finishes what it has accepted, and closes every connection. */
  stop(): Promise<void>;
}

const DEFAULT_TENANT = 'default';

/**
 * Starts the API, a worker, or both in one process. The schema has to be there (`migrate`).
 *
 * @throws when the port is taken or the database cannot be reached.
 */
export async function startProduct(config: Config, { roles, environment }: ProductOptions): Promise<Product> {
  const log = createLogger(config.LOG_LEVEL);
  const stores = createStores(config);
  const stopping = new AbortController();
  const closers: Array<() => Promise<unknown>> = [() => stores.close()];
  const stop = async () => {
    stopping.abort();
    for (const close of closers.reverse()) await close();
  };
  try {
    const parts = { temporal: temporalConfig(environment), stores, log, closers, stopping };
    const worker = roles.includes('worker') ? startWorker(config, parts) : undefined;
    const api = roles.includes('api')
      ? await startApi(config, { ...parts, isWorkerReady: worker?.isReady ?? (() => true) })
      : undefined;
    return {
      url: api?.url ?? '',
      ...(api?.bootstrapKey && { bootstrapKey: api.bootstrapKey }),
      failed: worker?.failed ?? new Promise(() => undefined),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Parts {
  readonly temporal: ReturnType<typeof temporalConfig>;
  readonly stores: ReturnType<typeof createStores>;
  readonly log: Logger;
  /** Run in reverse at the stop. */
  readonly closers: Array<() => Promise<unknown>>;
  readonly stopping: AbortController;
  readonly isWorkerReady: () => boolean;
}

async function startApi(config: Config, parts: Parts) {
  const { temporal, stores, log, closers, stopping } = parts;
  const { keys, recorder } = stores;
  if (config.ONCEONLY_BOOTSTRAP_KEY !== undefined)
    await keys.ensure(DEFAULT_TENANT, 'bootstrap', config.ONCEONLY_BOOTSTRAP_KEY);
  const bootstrapKey = await keys.first(DEFAULT_TENANT);

  const client = openClient(temporal);
  closers.push(() => client.connection.close());
  const attributes = createSearchAttributes();
  void attributes.register(client, log, stopping.signal);
  const start = createStarter({ client, taskQueue: config.TEMPORAL_TASK_QUEUE, attributes });
  const redis = config.REDIS_URL === undefined ? undefined : openRedis(config.REDIS_URL, log);
  if (redis !== undefined) closers.push(async () => redis.disconnect());
  const cache = redis === undefined ? createMemoryLockCache() : createRedisLockCache(redis);
  const { resolveAction } = createActivitiesOf(config, stores, closers);

  const app = createApp({
    config,
    log,
    stores,
    guard: createTargetGuard(config.TOOL_ALLOWED_HOSTS),
    isWorkerReady: parts.isWorkerReady,
    pingTemporal: async () => {
      await client.connection.withDeadline(Date.now() + 2_000, () => client.workflowService.getSystemInfo({}));
    },
    locks: createLocks({ start, client, cache, recorder }),
    leases: createLeases({ client, taskQueue: config.TEMPORAL_TASK_QUEUE, attributes, ...stores }),
    actions: createActions({
      client,
      start,
      actions: stores.actions,
      recorder,
      resolveOrphan: (tenant, actionId, resolution) => resolveAction({ tenant, actionId }, resolution),
      uiUrl: config.TEMPORAL_UI_URL,
    }),
  });
  const server = await listen(app, config.HOST, config.PORT);
  closers.push(() => server.drain());
  log.info({ url: server.url }, 'api started');
  return { url: server.url, bootstrapKey };
}

function createActivitiesOf(config: Config, stores: Parts['stores'], closers: Parts['closers']) {
  const sender = createSender({ guard: createTargetGuard(config.TOOL_ALLOWED_HOSTS) });
  closers.push(() => sender.close());
  return createActivities({ ...stores, sender });
}

/** Starts a worker in the background: it waits for Temporal as long as it takes. */
function startWorker(config: Config, { temporal, stores, log, closers, stopping }: Omit<Parts, 'isWorkerReady'>) {
  installRuntime(log);
  const activities = createActivitiesOf(config, stores, closers);
  let worker: Worker | undefined;
  const run = async () => {
    const connection = await openWorkerConnection(temporal, stopping.signal);
    try {
      const { namespace } = temporal;
      worker = await createWorker({ connection, namespace, taskQueue: config.TEMPORAL_TASK_QUEUE, activities });
      if (stopping.signal.aborted) return;
      const running = worker.run();
      log.info({ taskQueue: config.TEMPORAL_TASK_QUEUE }, 'worker started');
      await running;
    } finally {
      await connection.close();
    }
  };
  const ended = run();
  closers.push(async () => {
    if (worker?.getState() === 'RUNNING') worker.shutdown();
    await ended.catch(() => undefined);
  });
  const failed = new Promise<never>((_resolve, reject) => {
    ended.catch((error: unknown) => stopping.signal.aborted || reject(error));
  });
  return { isReady: () => worker?.getState() === 'RUNNING', failed };
}

let installed = false;

/** The SDK has one runtime a process: it is told once where to log, and to leave signals to us. */
function installRuntime(log: Logger): void {
  if (installed) return;
  installed = true;
  Runtime.install({ logger: temporalLogger(log), shutdownSignals: [] });
}
