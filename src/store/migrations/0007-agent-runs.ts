import { type Kysely, sql } from 'kysely';

/** Runs of several actions: their lease is renewed by the run itself, their actions do not end the timeline. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table leases add column of_run boolean not null default false`.execute(db);
  await sql`alter table actions add column of_run boolean not null default false`.execute(db);
}
