import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { createActivities } from '../activities/index.ts';
import { listenOptions } from './api/server.ts';
import { startApi } from './api/start.ts';
import { startProbes } from './api/start-probes.ts';
import type { Config } from './config.ts';
import type { Resolution } from './contracts/action.ts';
import { DEFAULT_TENANT } from './contracts/tenant.ts';
import { createTargetGuard } from './dispatch/guard.ts';
import { createLanes } from './dispatch/lanes.ts';
import { createSender } from './dispatch/send.ts';
import { openClient, openWorkerConnection, pingTemporal, temporalConfig } from './engine/connection.ts';
import { createOutcomes } from './engine/outcomes.ts';
import { createReach } from './engine/reach.ts';
import { type RunningWorker, runWorker } from './engine/run-worker.ts';
import { installRuntime } from './engine/runtime.ts';
import { scheduleReconciler } from './engine/schedule.ts';
import { createSearchAttributes } from './engine/search-attributes.ts';
import { createJudge } from './judge/judge.ts';
import { createThreads } from './judge/threads.ts';
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
    const { HTTPS_PROXY: url, NO_PROXY: except } = config;
    const guard = createTargetGuard(config.TOOL_ALLOWED_HOSTS);
    const sender = createSender({ guard, proxy: url === undefined ? undefined : { url, except } });
    closing(sender, (open) => open.close());
    const judge = closing(createJudge({ threads: createThreads(), metrics }), async (open) => open.close());
    const client = closing(openClient(temporal), (open) => open.connection.close());
    const reach = createReach(client);
    const outcomes = createOutcomes({ bulletin: stores.bulletin, metrics, find: stores.actions.find });
    const lanes = createLanes({ tenantMax: config.TENANT_MAX_IN_FLIGHT, toolMax: config.TOOL_MAX_IN_FLIGHT });
    const stopping = new AbortController();
    closing(stopping, async (one) => one.abort());
    const attributes = createSearchAttributes();
    void attributes.register(client, log, stopping.signal);
    const knowsAttributes = attributes.areKnown;
    const steps = { ...stores, sender, metrics, outcomes, judge, lanes, workflows: reach, knowsAttributes };
    const activities = createActivities(steps);
    const { namespace } = temporal;
    const taskQueue = config.TEMPORAL_TASK_QUEUE;

    if (!roles.includes('worker')) {
      void proveMasterKey(stores, log, stopping.signal);
      return { ...(await startRest({})), failed: never, stop };
    }
    let worker: RunningWorker | undefined;
    const isWorkerReady = () => worker?.isReady() ?? false;
    const { readMetrics: readSdkMetrics } = await installRuntime(log);
    // Before Temporal is waited for: whoever watches over a worker sees what it waits for.
    if (!roles.includes('api')) await watch({ isWorkerReady, readSdkMetrics });
    // A worker that cannot open what the others have sealed would put calls in doubt that it never sent: it takes nothing.
    if (!(await proveMasterKey(stores, log, stopping.signal))) {
      if (!roles.includes('api')) return { url: '', failed: never, stop };
      return { ...(await startRest({ isWorkerReady, readSdkMetrics })), failed: never, stop };
    }
    const connection = closing(await openWorkerConnection(temporal), (open) => open.close());
    worker = closing(await runWorker({ connection, namespace, taskQueue, activities, log }), (open) => open.drain());
    const { RECONCILE_SECONDS: everySeconds } = config;
    void scheduleReconciler({ client, taskQueue, everySeconds, log, signal: stopping.signal });
    const { failed } = worker;
    if (!roles.includes('api')) return { url: '', failed, stop };
    const eagerClient = new Client({ connection, namespace });
    return { ...(await startRest({ isWorkerReady, readSdkMetrics, eagerClient })), failed, stop };

    async function watch(parts: WorkerParts): Promise<void> {
      if (config.METRICS_PORT === undefined) return;
      const at = listenOptions(config, config.METRICS_PORT);
      const pings = {
        pingDatabase: stores.ping,
        pingTemporal: () => pingTemporal(client),
        hasMasterKey: stores.masterKey.isProven,
      };
      const scrape = createScraper({ ...parts, ...pings, metrics, readStanding: stores.readStanding });
      closing(await startProbes({ ...parts, ...pings, scrape, at, log }), (open) => open.drain());
    }

    async function startRest(parts: Partial<WorkerParts> & { eagerClient?: Client }) {
      const bootstrapKey = await ensureKeys(config, stores);
      const resolveRow = (tenant: string, actionId: string, resolution: Resolution) =>
        activities.resolveAction({ tenant, actionId }, resolution, resolution.actor);
      const { url } = closing(
        await startApi(config, {
          ...parts,
          client,
          stores,
          log,
          metrics,
          outcomes,
          reach,
          judge,
          attributes,
          resolveRow,
        }),
        (open) => open.drain(),
      );
      return { url, ...(bootstrapKey && { bootstrapKey }) };
    }
  } catch (error) {
    await stop();
    throw error;
  }
}

const PROVE_AGAIN_MS = 2_000;

/**
 * Whether this process has the deployment's master key, asked until the database answers. A process that has another one goes
 * on, not ready, so that whoever watches over it sees why.
 */
async function proveMasterKey({ masterKey }: Stores, log: Logger, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    try {
      const isProven = await masterKey.prove();
      if (!isProven) log.error('ONCEONLY_MASTER_KEY is not the key that this database was made with');
      return isProven;
    } catch (error) {
      log.debug({ err: error }, 'the master key cannot be proven yet');
      await sleep(PROVE_AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
  return false;
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
