import { momentOfRun } from './run-id.ts';

export type ServerClock = ReturnType<typeof createServerClock>;

/**
 * Temporal's clock as this process knows it: what Temporal has started carries its moment in its run id. The difference is
 * taken from each answer, as far as the time that the answer took leaves no doubt about it; 0 until there is one.
 */
export function createServerClock(now: () => number = Date.now) {
  let offset = 0;
  return {
    /** Unix milliseconds by Temporal's clock. */
    now: (): number => now() + offset,

    /** Learns from a run that was started between the two moments of our own clock. */
    observe(runId: string, sentAt: number, receivedAt: number): void {
      const moment = Date.parse(momentOfRun(runId) ?? '');
      if (Number.isNaN(moment)) return;
      const [least, most] = [moment - receivedAt, moment - sentAt];
      offset = least > 0 ? least : Math.min(0, most);
    },
  };
}
