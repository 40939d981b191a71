import type { NativeConnection, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { Activities } from '../../activities/index.ts';
import { createCallsWorker, createWorker } from './worker.ts';

export interface RunningWorker {
  /** Whether it polls. */
  isReady(): boolean;
  /** Rejects if the worker ends by itself, which only a fault makes it do. */
  readonly failed: Promise<never>;
  /** Takes no more work, finishes what it has begun. */
  drain(): Promise<void>;
}

export interface RunWorkerDeps {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly activities: Activities;
  readonly log: Logger;
}

/** Runs the worker of workflows and that of calls until they are drained. */
export async function runWorker({ log, ...deps }: RunWorkerDeps): Promise<RunningWorker> {
  const workers: readonly Worker[] = [await createWorker(deps), await createCallsWorker(deps)];
  let draining = false;
  const ended = workers.map((worker) => worker.run());
  log.info({ taskQueue: deps.taskQueue }, 'worker started');
  const failed = new Promise<never>((_resolve, reject) => {
    for (const one of ended) {
      one.then(
        () => draining || reject(new Error('the worker has ended')),
        (error: unknown) => reject(error),
      );
    }
  });
  // Whoever wants to know of the failure waits for it; nobody has to.
  failed.catch(() => undefined);
  return {
    isReady: () => workers.every((worker) => worker.getState() === 'RUNNING'),
    failed,
    async drain() {
      draining = true;
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.allSettled(ended);
    },
  };
}
