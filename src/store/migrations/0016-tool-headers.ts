import { type Kysely, sql } from 'kysely';

/** Headers that go with every call of a tool, sealed as one value; their names may be shown. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table tools add column headers_cipher bytea, add column header_names text[] not null default '{}'
  `.execute(db);
}
