import { fileURLToPath } from 'node:url';
import { type ActivityInterceptorsFactory, type NativeConnection, Worker } from '@temporalio/worker';
import type { Activities } from '../../activities/index.ts';
import { onBehalfOf } from '../store/fair-reads.ts';

/** The workflow code as `npm run build` has packed it (the same file from `src/` and from `dist/src/`). */
const bundle = fileURLToPath(
  new URL(
    import.meta.url.includes('/dist/') ? '../../workflow-bundle.js' : '../../dist/workflow-bundle.js',
    import.meta.url,
  ),
);

/** How long a worker that is told to stop waits for the calls under way before it gives them up as in doubt. */
const GRACE_MS = 25_000;

export interface WorkerDeps {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly activities: Activities;
}

/** What a step reads waits in the line of the tenant that it is for. */
const forItsTenant: ActivityInterceptorsFactory = () => ({
  inbound: {
    execute(input, next) {
      const { tenant }: { tenant?: unknown } = Object(input.args[0]);
      return typeof tenant === 'string' ? onBehalfOf(tenant, () => next(input)) : next(input);
    },
  },
});

/** The queue on which tools are called. */
export const callsQueueOf = (taskQueue: string): string => `${taskQueue}-calls`;

/** Calls that are under way or wait for their share; more stay in Temporal, where tenants take turns (`fairnessKey`). */
const CALL_SLOTS = 2_000;

/** A worker of the queue of calls alone: whatever waits there for strangers, takes nothing from what decides. */
export const createCallsWorker = ({ connection, namespace, taskQueue, activities }: WorkerDeps): Promise<Worker> => {
  const { callTool, checkDoubt } = activities;
  return Worker.create({
    connection,
    namespace,
    taskQueue: callsQueueOf(taskQueue),
    activities: { callTool, checkDoubt },
    interceptors: { activity: [forItsTenant] },
    maxConcurrentActivityTaskExecutions: CALL_SLOTS,
    activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 4 },
    shutdownGraceTime: GRACE_MS,
  });
};

/**
 * A worker of the product's workflows and activities; `run()` it. The numbers are those of many short workflows (design,
 * section 4): more sticky pollers than others, and room for slow tools beside quick ones.
 */
export const createWorker = ({ connection, namespace, taskQueue, activities }: WorkerDeps): Promise<Worker> =>
  Worker.create({
    connection,
    namespace,
    taskQueue,
    activities,
    interceptors: { activity: [forItsTenant] },
    workflowBundle: { codePath: bundle },
    // Calls within workflow tasks (src/dispatch/lanes.ts) leave half of these to what decides.
    maxConcurrentWorkflowTaskExecutions: 600,
    maxConcurrentLocalActivityExecutions: 600,
    maxConcurrentActivityTaskExecutions: 20,
    maxCachedWorkflows: 2_000,
    workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
    activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 2 },
    nonStickyToStickyPollRatio: 0.8,
    shutdownGraceTime: GRACE_MS,
  });
