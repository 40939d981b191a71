import { sql } from 'kysely';
import pg from 'pg';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { migrate, migrations } from '../../src/store/migrate.ts';
import { indexed, type Migration, statements } from '../../src/store/migration-steps.ts';
import { PATIENCE } from '../../src/store/migrator.ts';
import { eventually } from '../faults/scene.ts';
import { createDatabase } from '../stack/environment.ts';
import { unique } from '../stack/world.ts';

let config: { DATABASE_URL: string };
let pool: pg.Pool;
let lines: string[];
beforeEach(async () => {
  config = { DATABASE_URL: await createDatabase(inject('services').databaseUrl, unique('migrate').replace('-', '_')) };
  pool = new pg.Pool({ connectionString: config.DATABASE_URL, max: 8 });
  lines = [];
});
afterEach(() => pool.end());

const impatient = { ...PATIENCE, lockMs: 200, pauseMs: 10 };
const progress = (line: string) => void lines.push(line);
const rows = async (text: string) => (await pool.query(text)).rows;
const namesRun = async () => (await rows('select name from kysely_migration order by name')).map(({ name }) => name);
const upTo = (last: string) => Object.fromEntries(Object.entries(migrations).filter(([name]) => name <= last));

/** Everything that a schema is made of, but for what keeps the book of migrations. */
const schema = () =>
  rows(`
    select table_name as t, column_name as what, concat_ws(' ', data_type, is_nullable, column_default) as is
      from information_schema.columns where table_schema = 'public'
    union all select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
      where connamespace = 'public'::regnamespace
    union all select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'
    order by 1, 2, 3`);

const one = (up: string): Record<string, Migration> => ({
  one: { up: async (db) => void (await sql.raw(up).execute(db)) },
});

/** A transaction of somebody else. */
async function other(...texts: string[]): Promise<{ end: () => Promise<void> }> {
  const client = await pool.connect();
  await client.query("set application_name = 'somebody'; begin");
  for (const text of texts) await client.query(text);
  return {
    end: async () => {
      await client.query('commit');
      client.release();
    },
  };
}

test('a large trail is upgraded while a writer goes on', async () => {
  await migrate(config, { list: upTo('0004-usage-days') });
  await pool.query(`
    insert into audit (tenant, type, agent_id) select 'default', 'event', 'agent-' || n % 100 from generate_series(1, 300000) n;
    insert into leases (tenant, key, fence, state, lease_id, workflow_run_id, version, ttl, first_seen_at, expires_at)
      select 'default', 'key-' || n, n, 'expired', 'lease', 'run', 1, 60, now(), now() from generate_series(1, 20000) n;
  `);
  // What has begun before an index is built holds its building up for as long as it likes.
  const writer = await other("insert into audit (tenant, type) values ('default', 'of the writer')");
  const upgrade = migrate(config, { patience: impatient, progress });
  await eventually(async () =>
    expect(
      await rows("select phase from pg_stat_progress_create_index where phase like 'waiting for writers%'"),
    ).not.toEqual([]),
  );
  for (let n = 0; n < 20; n += 1) await pool.query("insert into audit (tenant, type) values ('default', 'meanwhile')");
  expect(await namesRun()).not.toContain('0005-audit-lists');
  await writer.end();
  expect(await upgrade).toEqual(Object.keys(migrations).filter((name) => name > '0004-usage-days'));
  expect(await rows("select count(*)::int as n from audit where type <> 'event'")).toEqual([{ n: 21 }]);
  expect(await rows('select count(*)::int as n from leases where begun_fence is distinct from fence')).toEqual([
    { n: 0 },
  ]);
  expect(await rows('select indexrelid::regclass from pg_index where not indisvalid')).toEqual([]);
  expect(await rows('select * from migration_steps')).toEqual([]);
  const upgraded = await schema();
  await pool.query('drop schema public cascade; create schema public');
  await migrate(config);
  expect(upgraded).toEqual(await schema());
});

test('a lock that another holds is asked for again, without keeping those waiting who come after', async () => {
  await pool.query('create table busy (n integer)');
  const holder = await other('select * from busy');
  const upgrade = migrate(config, {
    list: one('alter table busy add column m integer'),
    patience: impatient,
    progress,
  });
  await eventually(() => expect(lines.join('\n')).toContain('trying again'));
  await pool.query('insert into busy values (1)');
  expect(lines.find((line) => line.includes('trying again'))).toMatch(
    /one has not had AccessExclusiveLock on busy, which somebody \(pid \d+, idle in transaction, in a transaction since .*\) stands in the way of/,
  );
  await holder.end();
  expect(await upgrade).toEqual(['one']);
});

test('it does not ask for ever, and then says which migration it was and what it waited for', async () => {
  await pool.query('create table busy (n integer)');
  const holder = await other('lock table busy');
  const upgrade = migrate(config, { list: one('drop table busy'), patience: { ...impatient, attempts: 2 } });
  await expect(upgrade).rejects.toThrow(
    /^one has not had AccessExclusiveLock on busy, which somebody .* after 2 attempts/,
  );
  await holder.end();
  expect(await migrate(config, { list: one('drop table busy') })).toEqual(['one']);
});

test('of several processes one migrates, and the others neither repeat it nor hold its indexes up', async () => {
  const ran = await Promise.all([1, 2, 3].map(() => migrate(config)));
  expect(ran.flat().sort()).toEqual(Object.keys(migrations));
  expect(await migrate(config)).toEqual([]);
});

test('a migration that fails undoes itself and leaves those before it; the next attempt goes on behind them', async () => {
  const first = one('create table first (n integer)');
  const broken = { ...first, two: { steps: [statements(sql`create table half (n integer); select 1 / 0`)] } };
  await expect(migrate(config, { list: broken })).rejects.toThrow(/^two: .*division by zero/);
  expect(await namesRun()).toEqual(['one']);
  expect(await rows("select to_regclass('half') as half")).toEqual([{ half: null }]);
  const mended = { ...first, two: { steps: [statements(sql`create table half (n integer)`)] } };
  expect(await migrate(config, { list: mended })).toEqual(['two']);
});

test('a process that is killed between two steps, and while it builds an index, leaves what the next goes on with', async () => {
  await pool.query('create table big (n integer)');
  const writer = await other('insert into big values (1)');
  const list: Record<string, Migration> = {
    one: { steps: [statements(sql`create table once (n integer)`), indexed('big_n', sql`on big (n)`)] },
  };
  const upgrade = migrate(config, { list }).catch((error: unknown) => String(error));
  await eventually(async () =>
    expect(await rows("select 1 from pg_index where indexrelid = to_regclass('big_n')")).not.toEqual([]),
  );
  await pool.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where query like '%concurrently%' and pid <> pg_backend_pid()",
  );
  expect(await upgrade).toMatch(/MigrationError: one, step 2 of 2: /);
  await writer.end();
  expect(await rows("select indisvalid from pg_index where indexrelid = 'big_n'::regclass")).toEqual([
    { indisvalid: false },
  ]);
  expect(await migrate(config, { list })).toEqual(['one']);
  expect(await rows("select indisvalid from pg_index where indexrelid = 'big_n'::regclass")).toEqual([
    { indisvalid: true },
  ]);
});

test('a statement may take longer than a request may, whatever the role is limited to', async () => {
  await pool.query(`alter database ${new URL(config.DATABASE_URL).pathname.slice(1)} set statement_timeout = '1s'`);
  expect(await migrate(config, { list: one('select pg_sleep(11)') })).toEqual(['one']);
});

test('what a later release has run stays, and what is none of ours is named', async () => {
  await migrate(config, { list: one('select 1') });
  await pool.query("insert into kysely_migration values ('two', now()::text)");
  expect(await migrate(config, { list: one('select 1') })).toEqual([]);
  await pool.query("insert into kysely_migration values ('half', now()::text)");
  await expect(migrate(config, { list: one('select 1') })).rejects.toThrow(/^half has run here/);
});
