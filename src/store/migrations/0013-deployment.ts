import { type Kysely, sql } from 'kysely';

/** What tells this deployment from others that share a Redis with it: one row, made once. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table deployment (
      id uuid not null default gen_random_uuid(),
      is_only boolean primary key default true check (is_only)
    );
    insert into deployment default values;
  `.execute(db);
}
