import { sql } from 'kysely';
import type { UsageKind } from '../domain/usage.ts';
import { type Database, isDatabaseUnavailable } from './database.ts';
import { type AuditEntry, appendAudit } from './trail.ts';
import { addUsage, type Counted } from './usage.ts';

/** Lines a transaction takes at the most; the rest forms the next group. */
const MAX_GROUP = 512;

interface Waiting {
  readonly entry: AuditEntry;
  readonly kind: UsageKind | undefined;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export type Recorder = ReturnType<typeof createRecorder>;

/**
 * Writes audit lines and counters in groups (group commit): while one transaction commits, the lines that arrive
 * gather for the next, so that many requests share one fsync and each still waits for its own line to be durable.
 */
export function createRecorder(db: Database) {
  let waiting: Waiting[] = [];
  let flushing: Promise<void> | undefined;

  const write = (group: readonly Waiting[]) =>
    sql`with counted as (${addUsage(tally(group))}) ${appendAudit(group.map(({ entry }) => entry))}`.execute(db);

  async function settle(group: readonly Waiting[]): Promise<void> {
    try {
      await write(group);
      for (const { done } of group) done();
    } catch (error) {
      if (group.length === 1 || isDatabaseUnavailable(error)) {
        for (const { failed } of group) failed(error);
        return;
      }
      // A line that the database refuses must not take the others down with it, nor cost each of them a transaction of its own.
      const half = group.length >> 1;
      await settle(group.slice(0, half));
      await settle(group.slice(half));
    }
  }

  async function flush(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting.slice(0, MAX_GROUP);
      waiting = waiting.slice(MAX_GROUP);
      await settle(group);
    }
    flushing = undefined;
  }

  return {
    /**
     * Resolves once the line is committed.
     *
     * @throws what PostgreSQL says; then nothing of this line was kept.
     */
    record(entry: AuditEntry, kind?: UsageKind): Promise<void> {
      return new Promise((done, failed) => {
        waiting.push({ entry, kind, done, failed });
        flushing ??= Promise.resolve().then(flush);
      });
    },

    /** Resolves when all that was recorded so far is written or refused. */
    async drained(): Promise<void> {
      await flushing;
    },
  };
}

function tally(group: readonly Waiting[]): Counted[] {
  const counts = new Map<string, Counted>();
  for (const { entry, kind } of group) {
    if (kind === undefined) continue;
    const slot = `${entry.tenant} ${kind}`;
    counts.set(slot, { tenant: entry.tenant, kind, count: (counts.get(slot)?.count ?? 0) + 1 });
  }
  return [...counts.values()];
}
