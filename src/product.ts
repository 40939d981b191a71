import { Client } from '@temporalio/client';
import { createActivities } from '../activities/index.ts';
import { listenOptions } from './api/server.ts';
import { startApi } from './api/start.ts';
import { startProbes } from './api/start-probes.ts';
import type { Config } from './config.ts';
import type { Resolution } from './contracts/action.ts';
import { DEFAULT_TENANT } from './contracts/tenant.ts';
import { createTargetGuard } from './dispatch/guard.ts';
import { createSender } from './dispatch/send.ts';
import { openClient, openWorkerConnection, pingTemporal, temporalConfig } from './engine/connection.ts';
import { type RunningWorker, runWorker } from './engine/run-worker.ts';
import { installRuntime } from './engine/runtime.ts';
import { createLogger } from './log.ts';
import { createMetrics } from './metrics/metrics.ts';
import { createScraper } from './metrics/scrape.ts';
import { createStores, type Stores } from './store/stores.ts';

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
  /** Rejects if the worker ends by itself, which only a fault makes it do. */
  readonly failed: Promise<never>;
  /** Takes no more work, finishes what it has accepted, and closes every connection. */
  stop(): Promise<void>;
}

/** What a process with a worker tells of it. */
interface WorkerParts {
  readonly isWorkerReady: () => boolean;
  readonly readSdkMetrics: () => Promise<string>;
}

const never = new Promise<never>(() => undefined);

/**
 * Starts the API, a worker, or both in one process, which is the quickest: the worker then takes an action's first
 * workflow task with the answer to its start. A process with a worker waits for Temporal; an API alone starts without
 * it and answers 503 meanwhile. The schema has to be there (`migrate`).
 *
 * @throws when the port is taken or the database cannot be reached.
 */
export async function startProduct(config: Config, { roles, environment }: ProductOptions): Promise<Product> {
  const log = createLogger(config.LOG_LEVEL);
  const temporal = temporalConfig(environment);
  const { closing, stop } = createClosers();
  try {
    const metrics = createMetrics();
    const stores = closing(createStores(config), (open) => open.close());
    const sender = createSender({ guard: createTargetGuard(config.TOOL_ALLOWED_HOSTS) });
    closing(sender, (open) => open.close());
    const activities = createActivities({ ...stores, sender, metrics });
    const { namespace } = temporal;
    const taskQueue = config.TEMPORAL_TASK_QUEUE;

    if (!roles.includes('worker')) return { ...(await startRest({})), failed: never, stop };
    let worker: RunningWorker | undefined;
    const isWorkerReady = () => worker?.isReady() ?? false;
    const { readMetrics: readSdkMetrics } = await installRuntime(log);
    // Before Temporal is waited for: whoever watches over a worker sees what it waits for.
    if (!roles.includes('api')) await watch({ isWorkerReady, readSdkMetrics });
    const connection = closing(await openWorkerConnection(temporal), (open) => open.close());
    worker = closing(await runWorker({ connection, namespace, taskQueue, activities, log }), (open) => open.drain());
    const { failed } = worker;
    if (!roles.includes('api')) return { url: '', failed, stop };
    const eagerClient = new Client({ connection, namespace });
    return { ...(await startRest({ isWorkerReady, readSdkMetrics, eagerClient })), failed, stop };

    async function watch(parts: WorkerParts): Promise<void> {
      if (config.METRICS_PORT === undefined) return;
      const at = listenOptions(config, config.METRICS_PORT);
      const client = closing(openClient(temporal), (open) => open.connection.close());
      const pings = { pingDatabase: stores.ping, pingTemporal: () => pingTemporal(client) };
      const scrape = createScraper({ ...parts, ...pings, metrics, readStanding: stores.readStanding });
      closing(await startProbes({ ...parts, ...pings, scrape, at, log }), (open) => open.drain());
    }

    async function startRest(parts: Partial<WorkerParts> & { eagerClient?: Client }) {
      const client = closing(openClient(temporal), (open) => open.connection.close());
      const bootstrapKey = await ensureKeys(config, stores);
      const resolveOrphan = (tenant: string, actionId: string, resolution: Resolution) =>
        activities.resolveAction({ tenant, actionId }, resolution);
      const { url } = closing(
        await startApi(config, { ...parts, client, stores, log, metrics, resolveOrphan }),
        (open) => open.drain(),
      );
      return { url, ...(bootstrapKey && { bootstrapKey }) };
    }
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Closes what was opened, the last first. */
function createClosers() {
  const closers: Array<() => Promise<unknown>> = [];
  return {
    closing<T>(opened: T, close: (opened: T) => Promise<unknown>): T {
      closers.unshift(() => close(opened));
      return opened;
    },
    async stop() {
      for (const close of closers.splice(0)) await close();
    },
  };
}

/** The key that the configuration names, or the first one of a deployment that has none. */
async function ensureKeys({ ONCEONLY_BOOTSTRAP_KEY }: Config, { keys }: Stores): Promise<string | undefined> {
  if (ONCEONLY_BOOTSTRAP_KEY !== undefined) await keys.ensure(DEFAULT_TENANT, 'bootstrap', ONCEONLY_BOOTSTRAP_KEY);
  return await keys.first(DEFAULT_TENANT);
}
