import { type Kysely, sql } from 'kysely';

/** Keeps of an attempt that asked for another whether the tool may have acted on it: what a stopped action ends as. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table attempts add column may_have_acted boolean not null default false`.execute(db);
}
