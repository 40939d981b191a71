import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresDialect, type PostgresPool, type Transaction } from 'kysely';
import pg from 'pg';
import type { Schema } from './schema.ts';
import { MissedTurn } from './turns.ts';

export type Database = Kysely<Schema>;
export type Queries = Database | Transaction<Schema>;

/** How long a request waits for a free connection, and for the server to accept one, before it gets its 503. */
const CONNECT_TIMEOUT_MS = 2_000;
/** A statement that runs longer than this is a fault, not work. */
const STATEMENT_TIMEOUT_MS = 10_000;
/**
 * How long a statement waits for each lock: nobody of ours holds one for longer than PostgreSQL needs. Longer than `deadlock_timeout`
 * (1 s), so that a deadlock is found as what it is.
 */
const LOCK_TIMEOUT_MS = 2_000;

const parsers = new Map<number, (text: string) => unknown>([
  // Counts, fences and micro-dollars stay below 2^53: numbers, not strings.
  [pg.types.builtins.INT8, Number],
  // A day stays the text it is: as a Date it would move with the time zone.
  [pg.types.builtins.DATE, (text) => text],
]);

/** The texts of our statements are few and fixed (lists travel as one JSON parameter); this bound is for surprises. */
const MAX_PREPARED = 500;
const statementNames = new Map<string, string>();

function nameOf(text: string): string | undefined {
  const known = statementNames.get(text);
  if (known !== undefined || statementNames.size >= MAX_PREPARED) return known;
  const name = `s${statementNames.size}`;
  statementNames.set(text, name);
  return name;
}

/** Prepares each statement once a connection: parsing and planning cost more than running most of them. */
class PreparingClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    // The pool listens to idle connections only: a server that goes away between two statements of a transaction would
    // end the process. The next statement fails, and so says the same to whoever waits for it.
    this.on('error', () => undefined);
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg types `query` with eight overloads, of which Kysely calls one
  override query(...args: any[]): any {
    const [text, values] = args;
    const prepared =
      typeof text === 'string' && Array.isArray(values) && values.length > 0
        ? [{ name: nameOf(text), text, values }]
        : args;
    return Reflect.apply(super.query, this, prepared);
  }
}

export interface DatabaseOptions {
  /** After how many milliseconds a statement is given up. */
  readonly statementMs?: number;
  /** The same of waiting for one lock. */
  readonly lockMs?: number;
  /** How connections are shared; without it who comes first is served first. */
  readonly shared?: (pool: PostgresPool) => PostgresPool;
}

/**
 * Opens a pool of connections; nothing is connected before the first query, and a lost server is found again by itself.
 *
 * @param poolSize connections at the most.
 */
export const openDatabase = (
  url: string,
  poolSize: number,
  { statementMs = STATEMENT_TIMEOUT_MS, lockMs = LOCK_TIMEOUT_MS, shared }: DatabaseOptions = {},
): Database =>
  new Kysely<Schema>({
    dialect: dialectOf(
      {
        Client: PreparingClient,
        connectionString: url,
        max: poolSize,
        statement_timeout: statementMs,
        lock_timeout: lockMs,
        idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
        application_name: 'onceonly',
      },
      shared,
    ),
  });

/** Opens a pool of two connections on which a statement may take as long as it needs: for migrations, which know no schema. */
export const openUnlimited = (url: string): Kysely<unknown> =>
  new Kysely<unknown>({
    dialect: dialectOf({ connectionString: url, max: 2, application_name: 'onceonly-migrate' }),
  });

function dialectOf(
  config: pg.PoolConfig & { Client?: typeof pg.Client },
  shared: DatabaseOptions['shared'] = (pool) => pool,
): PostgresDialect {
  const pool = new pg.Pool({
    ...config,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser: (id: number, format) => parsers.get(id) ?? pg.types.getTypeParser(id, format as 'text') },
  });
  // A connection that the server closes is replaced by the pool, be it idle or in use between two statements, and the
  // next statement fails; unheard, its error would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return new PostgresDialect({ pool: shared(pool) });
}

/** A deadlock or a serialization failure is over with the statement or transaction that lost: PostgreSQL has undone it. */
const LOST_TO_ANOTHER = new Set(['40P01', '40001']);
const MAX_REPEATS = 5;

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Does the work again, up to five times, where it lost to another transaction: nobody outside needs to hear of that. */
export async function repeated<T>(work: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n += 1) {
    try {
      return await work();
    } catch (error) {
      if (n >= MAX_REPEATS || !LOST_TO_ANOTHER.has(codeOf(error))) throw error;
      await sleep(Math.random() * 20 * n);
    }
  }
}

/**
 * A transaction, repeated where it lost to another. Locks are taken in the one order of `docs/concepts.md` ("Locks"), so that
 * none should.
 */
export const transact = <T>(db: Database, work: (tx: Transaction<Schema>) => Promise<T>): Promise<T> =>
  repeated(() => db.transaction().execute(work));

/**
 * Nothing was done, and the same again may well succeed: connection lost, refused or timed out, a server that is starting,
 * stopping or full, a statement given up for its time or for another's locks (SQLSTATE classes 08, 40, 53 and 57, and 55P03), a
 * write that has missed its turn.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof MissedTurn) return true;
  const code = codeOf(error);
  return (
    /^(08|40|53|57)/.test(code) ||
    code === '25P03' ||
    code === '55P03' ||
    ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH'].includes(code) ||
    /connection terminated|timeout exceeded when trying to connect|not queryable|Client was closed|the database system is/i.test(
      error.message,
    )
  );
}

/**
 * The connection was lost with something on its way: whether it was committed is not known. Every other failure of
 * {@link isDatabaseUnavailable} is of a connection that could not be had, or of a statement that PostgreSQL has undone.
 */
export function isDatabaseAnswerLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  return (
    /^(08|57P0[12])/.test(code) ||
    ['ECONNRESET', 'EPIPE', 'ETIMEDOUT'].includes(code) ||
    /connection terminated(?! due to connection timeout)|not queryable|Client was closed/i.test(error.message)
  );
}
