import { type Kysely, sql } from 'kysely';

/** What a decision was made of, so that it can be explained later, and the condition that was not met. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table actions add column condition text, add column ruled_on json`.execute(db);
}
