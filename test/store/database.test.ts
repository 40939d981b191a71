import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { type Database, isDatabaseUnavailable, openDatabase } from '../../src/store/database.ts';
import { createDatabase } from '../stack/environment.ts';
import { unique } from '../stack/world.ts';

let db: Database;
beforeEach(async () => {
  db = openDatabase(await createDatabase(inject('services').databaseUrl, unique('faults').replace('-', '_')), 4);
  await sql`create table rows as select n from generate_series(1, 2) as n`.execute(db);
});
afterEach(() => db.destroy());

/** What a statement fails with. */
const faultOf = (statement: Promise<unknown>): Promise<unknown> =>
  statement.then(
    () => undefined,
    (fault: unknown) => fault,
  );

/** Two transactions that each want the row that the other holds; PostgreSQL ends one of them. */
async function deadlock(): Promise<unknown> {
  const lock = (n: number) => sql`select n from rows where n = ${n} for update`;
  const bothHold = barrier(2);
  const hold = (own: number, wanted: number) =>
    db.transaction().execute(async (tx) => {
      await lock(own).execute(tx);
      await bothHold();
      await lock(wanted).execute(tx);
    });
  return (await Promise.all([faultOf(hold(1, 2)), faultOf(hold(2, 1))])).find((fault) => fault !== undefined);
}

function barrier(count: number): () => Promise<void> {
  let [missing, open] = [count, () => {}];
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    missing -= 1;
    if (missing === 0) open();
    return opened;
  };
}

describe('a fault that may pass by itself', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['a statement that was given up for its time', () => faultOf(timedOut())],
    ['a deadlock', deadlock],
    ['a connection that was ended', () => faultOf(sql`select pg_terminate_backend(pg_backend_pid())`.execute(db))],
  ])('%s is an outage to the caller, who may try again', async (_what, fault) => {
    expect(isDatabaseUnavailable(await fault())).toBe(true);
  });

  test.each([sql`select 1 / 0`, sql`select * from nothing`])('a mistake of ours is none: %#', async (statement) => {
    const fault = await faultOf(statement.execute(db));
    expect(fault).toBeInstanceOf(Error);
    expect(isDatabaseUnavailable(fault)).toBe(false);
  });
});

const timedOut = () =>
  db.transaction().execute(async (tx) => {
    await sql`set local statement_timeout = '50ms'`.execute(tx);
    await sql`select pg_sleep(60)`.execute(tx);
  });
