import { type Database, openDatabase } from './database.ts';
import { fairly } from './fair-reads.ts';
import { createTurns } from './turns.ts';
import { createWrites, type Writes } from './writes.ts';

/**
 * What goes over which connections, so that nobody is held up by what is none of its business:
 *
 * | pool | for | waits for rows |
 * | --- | --- | --- |
 * | writes | admissions, claims, settlements, leases, and whatever else locks rows; in turns (`turns.ts`) | up to 2 s for a lock, 4 s for a statement |
 * | switches | the kill switch, also while a tenant's other writes stand | up to 3.5 s for a lock, 4 s for a statement |
 * | reads | keys, facts, lists, and lines that are only inserted; tenants take turns (`fair-reads.ts`) | none of those |
 * | probes | whether PostgreSQL answers, and the proof of the master key | none |
 */
export interface Pools {
  readonly writes: Writes;
  readonly switches: Writes;
  readonly reads: Database;
  readonly probes: Database;
  close(): Promise<void>;
}

export interface PoolConfig {
  readonly DATABASE_URL: string;
  /** Connections for writes and reads together; at least 4. */
  readonly DATABASE_POOL_SIZE: number;
}

/** Of the connections for writes and reads, those for writes. */
const WRITES_SHARE = 0.6;
/** Beside the setting. */
const SWITCHES = 2;
const PROBES = 2;

/**
 * Under the time for a statement, so that a lock that is not had is told as what it is; both under the 5 s that clients wait: a
 * write that waits for its turn and then for a lock has been given up by then.
 */
const WRITES = { statementMs: 4_000, lockMs: 2_000 };
/** A switch waits in no queue, and is worth waiting for. */
const SWITCHING = { statementMs: 4_000, lockMs: 3_500 };
const PATIENCE_MS = 2_500;
/** What counts of an agent waits for its ledger's row in any case; claims and ends of different actions do not. */
const OF_ONE = 3;
const WAITING = 2_000;
const WAITING_OF_ONE = 128;

/** Opens the pools of a process; nothing is connected before the first query. */
export function openPools({ DATABASE_URL: url, DATABASE_POOL_SIZE: size }: PoolConfig): Pools {
  const places = Math.ceil(size * WRITES_SHARE);
  const writing = openDatabase(url, places, WRITES);
  const switching = openDatabase(url, SWITCHES, SWITCHING);
  const readers = Math.max(1, size - places);
  const reads = openDatabase(url, readers, { shared: (pool) => fairly(pool, readers) });
  const probes = openDatabase(url, PROBES);
  const limits = { patienceMs: PATIENCE_MS, waiting: WAITING, waitingOfOne: WAITING_OF_ONE };
  return {
    writes: createWrites({ db: writing, reads, turns: createTurns({ ...limits, places, ofOne: OF_ONE }) }),
    switches: createWrites({ db: switching, reads, turns: createTurns({ ...limits, places: SWITCHES, ofOne: 1 }) }),
    reads,
    probes,
    close: async () => {
      await Promise.all([writing, switching, reads, probes].map((db) => db.destroy()));
    },
  };
}
