import { type Kysely, sql } from 'kysely';

/** While a tool's secret rotates, the previous one signs beside it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table tools add column previous_cipher bytea, add column previous_until timestamptz,
      add column rotated_at timestamptz, add column rotated_by text, add column chosen_here boolean not null default false
  `.execute(db);
}
