import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Logger } from 'pino';
import { read } from './rpc.ts';

const RETRY_MS = 2_000;
/** A round that takes longer has lost its worker. */
const ROUND_TIMEOUT = '5 minutes';

export interface ReconcileSchedule {
  readonly client: Client;
  readonly taskQueue: string;
  readonly everySeconds: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Sees to it that the schedule of the reconciler exists, one for each task queue, as it is configured; tries until it does, or
 * is told to stop (https://docs.temporal.io/schedule).
 */
export async function scheduleReconciler({
  client,
  taskQueue,
  everySeconds,
  log,
  signal,
}: ReconcileSchedule): Promise<void> {
  const scheduleId = `onceonly/reconcile/${taskQueue}`;
  const spec = { intervals: [{ every: everySeconds * 1000 }] };
  const create = () =>
    client.schedule.create({
      scheduleId,
      spec,
      action: {
        type: 'startWorkflow',
        workflowType: 'reconcile',
        workflowId: scheduleId,
        taskQueue,
        args: [],
        workflowExecutionTimeout: ROUND_TIMEOUT,
      },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
    });
  const renew = () =>
    client.schedule.getHandle(scheduleId).update((schedule) => ({ ...schedule, spec, state: schedule.state }));
  while (!signal.aborted) {
    try {
      await read(client, create).catch(async (error: unknown) => {
        if (!(error instanceof ScheduleAlreadyRunning)) throw error;
        await read(client, renew);
      });
      return;
    } catch (error) {
      log.debug({ err: error }, 'the schedule of the reconciler is not there yet');
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
