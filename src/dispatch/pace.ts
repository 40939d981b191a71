import { LRUCache } from 'lru-cache';

/** A tool that takes longer is called where nobody waits for it. */
const QUICK_MS = 2_000;
/** For how long an answer says something of the next one. */
const LATELY_MS = 600_000;
const MAX_TOOLS = 10_000;

export type Pace = ReturnType<typeof createPace>;

/** How quickly tools have lately answered this process; a tool that nobody has heard of counts as slow. */
export function createPace() {
  const quick = new LRUCache<string, true>({ max: MAX_TOOLS, ttl: LATELY_MS });
  return {
    isQuick: (tenant: string, tool: string): boolean => quick.has(`${tenant}/${tool}`),

    /** A tool has answered, or was waited for in vain, for so long. */
    note(tenant: string, tool: string, durationMs: number): void {
      if (durationMs <= QUICK_MS) quick.set(`${tenant}/${tool}`, true);
      else quick.delete(`${tenant}/${tool}`);
    },
  };
}
