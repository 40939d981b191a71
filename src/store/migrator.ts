import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import { watched } from './lock-wait.ts';
import { MigrationError, noteMigration, noteStep, pending, stepsDone } from './migration-book.ts';
import type { Migration, Step } from './migration-steps.ts';

/** How a migration waits for locks of others. */
export interface Patience {
  /** How long a transaction waits for one: for so long, everybody who comes after it waits behind it. */
  readonly lockMs: number;
  /** How long a step outside a transaction waits, which keeps nobody waiting: as for a backup that is under way. */
  readonly outsideLockMs: number;
  /** How often a step is tried. */
  readonly attempts: number;
  /** Between two attempts, so that those who waited get through; half of it at random more. */
  readonly pauseMs: number;
}

export const PATIENCE: Patience = { lockMs: 3_000, outsideLockMs: 600_000, attempts: 20, pauseMs: 4_000 };

export interface MigratorOptions {
  /** A pool of two connections: one migrates, the other looks whom it waits for. */
  readonly db: Kysely<unknown>;
  readonly migrations: Readonly<Record<string, Migration>>;
  readonly patience: Patience;
  /** Told in sentences how it goes on. */
  readonly progress: (line: string) => void;
}

/** Kysely's own: a process of an earlier release that migrates at the same moment is kept out too. */
const ADVISORY_LOCK = '3853314791062309107';
const ASK_AGAIN_MS = 500;

/** Runs what has not run yet, in the order of the names, and says what that was. */
export function migrateAll({ db, migrations, patience, progress }: MigratorOptions): Promise<string[]> {
  return db.connection().execute(async (session) => {
    const pid = await unlimited(session);
    await takeLock(session, progress);
    try {
      const ran: string[] = [];
      for (const name of await pending(session, Object.keys(migrations))) {
        const migration = migrations[name];
        if (migration !== undefined) await run(name, migration, pid, session);
        ran.push(name);
      }
      return ran;
    } finally {
      // A connection that is lost has lost its lock as well.
      await sql`select pg_advisory_unlock(${ADVISORY_LOCK}::bigint)`.execute(session).catch(() => undefined);
    }
  });

  async function run(name: string, migration: Migration, pid: number, session: Kysely<unknown>): Promise<void> {
    const steps: readonly Step[] = 'steps' in migration ? migration.steps : [{ transaction: migration.up }];
    const done = await stepsDone(session, name);
    progress(`Migrating: ${name}`);
    for (const [n, step] of steps.entries()) {
      if (done.has(n)) continue;
      const note = (tx: Kysely<unknown>) => (n === steps.length - 1 ? noteMigration(tx, name) : noteStep(tx, name, n));
      const which = steps.length === 1 ? name : `${name}, step ${n + 1} of ${steps.length}`;
      await persist(which, step, pid, () => take(session, step, note, patience));
    }
  }

  async function persist(which: string, step: Step, pid: number, work: () => Promise<void>): Promise<void> {
    const lockMs = 'outside' in step ? patience.outsideLockMs : patience.lockMs;
    const everyMs = Math.min(500, Math.ceil(patience.lockMs / 4));
    for (let n = 1; ; n += 1) {
      const { fault, waitedFor = 'a lock' } = await watched(db, { pid, everyMs }, work);
      if (fault === undefined) return;
      if (!isLockFault(fault)) throw new MigrationError(`${which}: ${String(fault)}`, { cause: fault });
      const told = `${which} has not had ${waitedFor}, after ${n} attempts of ${lockMs} ms`;
      if (n >= patience.attempts) throw new MigrationError(`${told}; run it again`, { cause: fault });
      progress(`${told}; trying again`);
      await sleep(patience.pauseMs * (1 + Math.random() / 2));
    }
  }
}

/** Lifts what the server, the database or the role limit sessions by, and answers the process id of this one. */
async function unlimited(session: Kysely<unknown>): Promise<number> {
  await sql`
    select set_config(name, '0', false) from pg_settings
    where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')
  `.execute(session);
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(session);
  return rows[0]?.pid ?? 0;
}

/** Asks again and again rather than waits: who waits holds a snapshot, which an index that another builds would wait for. */
async function takeLock(session: Kysely<unknown>, progress: (line: string) => void): Promise<void> {
  for (let n = 0; ; n += 1) {
    const { rows } = await sql<{ had: boolean }>`select pg_try_advisory_lock(${ADVISORY_LOCK}::bigint) as had`.execute(
      session,
    );
    if (rows[0]?.had === true) return;
    if (n === 0) progress('Another process migrates; waiting for it');
    await sleep(ASK_AGAIN_MS);
  }
}

/** A step and the note that it is done: one transaction, or the note behind it. */
async function take(
  session: Kysely<unknown>,
  step: Step,
  note: (tx: Kysely<unknown>) => Promise<void>,
  { lockMs, outsideLockMs }: Patience,
): Promise<void> {
  const isOutside = 'outside' in step;
  await sql`select set_config('lock_timeout', ${String(isOutside ? outsideLockMs : lockMs)}, false)`.execute(session);
  if (isOutside) await step.outside(session);
  await session.transaction().execute(async (tx) => {
    if (!isOutside) await step.transaction(tx);
    await note(tx);
  });
}

/** A lock that was not had in time, or that was lost to another (a deadlock, which PostgreSQL ends). */
const isLockFault = (fault: unknown): boolean =>
  fault instanceof Error && 'code' in fault && (fault.code === '55P03' || fault.code === '40P01');
