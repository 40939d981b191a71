import { type Kysely, type RawBuilder, sql } from 'kysely';

/**
 * A change of the schema: one transaction (`up`), or steps where it builds indexes or rewrites rows of a table that may be
 * large. Each step is written down when it is done, so that what was broken off is gone on with.
 */
export type Migration = { readonly up: Change } | { readonly steps: readonly Step[] };

export type Change = (db: Kysely<unknown>) => Promise<void>;

/**
 * - `transaction`: done whole or not at all; waits only briefly for a lock, since all others would queue up behind it.
 * - `outside`: runs beside readers and writers and without a transaction, so it may be broken off anywhere and has to be
 *   repeatable.
 */
export type Step = { readonly transaction: Change } | { readonly outside: Change };

/** Statements, separated by semicolons, in one transaction. */
export const statements = (text: RawBuilder<unknown>): Step => ({
  transaction: async (tx) => {
    await text.execute(tx);
  },
});

/**
 * Builds an index while its table is written to. What a crash left of it, which PostgreSQL would keep up and never use, is
 * dropped first.
 *
 * @param name without a schema.
 * @param definition what stands behind the name in `create index`: `on … (…)`.
 */
export function indexed(name: string, definition: RawBuilder<unknown>, { unique = false } = {}): Step {
  return {
    outside: async (db) => {
      const { rows } = await sql<{ valid: boolean }>`
        select indisvalid as valid from pg_index where indexrelid = to_regclass(${name})
      `.execute(db);
      if (rows[0]?.valid === false) await dropConcurrently(db, name);
      await sql`
        create ${sql.raw(unique ? 'unique index' : 'index')} concurrently if not exists ${sql.ref(name)} ${definition}
      `.execute(db);
    },
  };
}

/** Drops an index while its table is read and written. */
export const unindexed = (name: string): Step => ({ outside: (db) => dropConcurrently(db, name) });

async function dropConcurrently(db: Kysely<unknown>, name: string): Promise<void> {
  await sql`drop index concurrently if exists ${sql.ref(name)}`.execute(db);
}

/** Another index under the name of one that is there: the old one serves until the new one is built. */
export const reindexed = (name: string, definition: RawBuilder<unknown>): readonly Step[] => [
  indexed(`${name}_next`, definition),
  unindexed(name),
  statements(sql`alter index ${sql.ref(`${name}_next`)} rename to ${sql.ref(name)}`),
];

/** Rows that one statement of {@link inBatches} changes at the most: locks on them are held for some milliseconds. */
const BATCH = 5_000;

/**
 * Changes many rows a few at a time.
 *
 * @param change a statement that changes at most as many rows as it is told, and finds none when all are changed.
 */
export const inBatches = (change: (limit: number) => RawBuilder<unknown>): Step => ({
  outside: async (db) => {
    for (let changed = 1n; changed > 0n; ) changed = (await change(BATCH).execute(db)).numAffectedRows ?? 0n;
  },
});
