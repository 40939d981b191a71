import { type Kysely, sql } from 'kysely';

/** A migration that did not come to its end; what it did is undone or gone on with by the next. */
export class MigrationError extends Error {
  override name = 'MigrationError';
}

/**
 * What has to run yet. What a later release has run is let be: by the rule of expand and contract its schema serves this
 * one too.
 */
export async function pending(session: Kysely<unknown>, known: readonly string[]): Promise<string[]> {
  await sql`
    create table if not exists kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null);
    create table if not exists migration_steps (name text, step integer, primary key (name, step));
  `.execute(session);
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(session);
  const ran = new Set(rows.map(({ name }) => name));
  const names = [...known].sort();
  const [last = ''] = names.slice(-1);
  const strange = [...ran].find((name) => name <= last && !names.includes(name));
  if (strange !== undefined)
    throw new MigrationError(`${strange} has run here and is none of this release's migrations`);
  const open = names.filter((name) => !ran.has(name));
  const [first] = open;
  const overtaken = first !== undefined && [...ran].some((name) => name > first);
  if (overtaken) throw new MigrationError(`${first} has not run here, and one that comes after it has`);
  return open;
}

/** The steps, by their places, that are done of a migration that was broken off. */
export async function stepsDone(session: Kysely<unknown>, name: string): Promise<ReadonlySet<number>> {
  const { rows } = await sql<{ step: number }>`select step from migration_steps where name = ${name}`.execute(session);
  return new Set(rows.map(({ step }) => step));
}

/** Notes that a step is done, and another follows. */
export async function noteStep(tx: Kysely<unknown>, name: string, step: number): Promise<void> {
  await sql`insert into migration_steps (name, step) values (${name}, ${step})`.execute(tx);
}

/** Notes that the last step is done. */
export async function noteMigration(tx: Kysely<unknown>, name: string): Promise<void> {
  await sql`insert into kysely_migration (name, timestamp) values (${name}, ${new Date().toISOString()})`.execute(tx);
  await sql`delete from migration_steps where name = ${name}`.execute(tx);
}
