import { type Kysely, sql } from 'kysely';

/** Who turned a switch that is on, for the lines of what it blocks; and with which version of its tool an action was decided. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table agents add column disabled_by text`.execute(db);
  await sql`alter table tenants add column killed_by text`.execute(db);
  await sql`alter table audit add column tool_version integer`.execute(db);
}
