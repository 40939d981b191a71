/** Jobs of one tenant that may wait; what comes beyond them is refused. */
export const MAX_WAITING = 256;

export type FairQueue<T> = ReturnType<typeof createFairQueue<T>>;

/**
 * A queue for each tenant, served in turn: one job of each, whatever else is waiting. A tenant has one job under way at a time, so
 * that it never has all threads.
 */
export function createFairQueue<T>() {
  /** In the order of their turns. */
  const waiting = new Map<string, T[]>();
  const underWay = new Set<string>();

  return {
    /** Whether there was room for it. */
    put(tenant: string, job: T): boolean {
      const jobs = waiting.get(tenant);
      if (jobs === undefined) waiting.set(tenant, [job]);
      else if (jobs.length >= MAX_WAITING) return false;
      else jobs.push(job);
      return true;
    },

    /** Gives back a job that needs another turn: the next of its tenant's. */
    putBack(tenant: string, job: T): void {
      waiting.set(tenant, [job, ...(waiting.get(tenant) ?? [])]);
    },

    /** The job whose turn it is, which is under way until it is `done`; none, where every tenant that waits has one under way. */
    take(): { readonly tenant: string; readonly job: T } | undefined {
      for (const [tenant, jobs] of waiting) {
        if (underWay.has(tenant)) continue;
        const [job, ...rest] = jobs;
        waiting.delete(tenant);
        if (job === undefined) continue;
        if (rest.length > 0) waiting.set(tenant, rest);
        underWay.add(tenant);
        return { tenant, job };
      }
      return undefined;
    },

    done: (tenant: string): void => void underWay.delete(tenant),

    /** Whether a job could be taken. */
    isWaiting: (): boolean => [...waiting.keys()].some((tenant) => !underWay.has(tenant)),

    /** Takes all that waits. */
    drain(): T[] {
      const all = [...waiting.values()].flat();
      waiting.clear();
      return all;
    },
  };
}
