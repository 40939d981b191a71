import type { UsageKind } from '../domain/usage.ts';
import type { Database } from './database.ts';
import { addUsage, type Counted } from './usage.ts';

/** How long counts gather before they are written. */
const GATHER_MS = 1_000;

export type Tallies = ReturnType<typeof createTallies>;

/**
 * Counters of what leaves no line in the trail, such as refused requests: a flood of them is one small statement a second,
 * and nobody waits for it. A process that is killed loses what the last second gathered.
 */
export function createTallies(db: Database) {
  const gathered = new Map<string, Counted>();
  let timer: NodeJS.Timeout | undefined;

  const add = ({ tenant, kind, count }: Counted) => {
    const slot = `${tenant} ${kind}`;
    gathered.set(slot, { tenant, kind, count: count + (gathered.get(slot)?.count ?? 0) });
    timer ??= setTimeout(() => void write(), GATHER_MS).unref();
  };

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const counted = [...gathered.values()];
    gathered.clear();
    if (counted.length === 0) return;
    try {
      await addUsage(counted).execute(db);
    } catch {
      // A database that is away gets them when it is back.
      for (const one of counted) add(one);
    }
  }

  return {
    /** Counts one more of a kind, without waiting for it to be written. */
    count: (tenant: string, kind: UsageKind): void => add({ tenant, kind, count: 1 }),

    /** Resolves when what was counted so far is written, or could not be. */
    async drained(): Promise<void> {
      await write();
      clearTimeout(timer);
    },
  };
}
