import { type Kysely, sql } from 'kysely';

/** Keys that are revoked stay on the record; keys and events keep what a repeat of their request is recognised by. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table api_keys
      add column revoked_at timestamptz,
      add column requested_by text,
      add column request_key text,
      add column fingerprint text
  `.execute(db);
  await sql`create index api_keys_of_tenant on api_keys (tenant, created_at)`.execute(db);
  await sql`
    create index api_keys_requests on api_keys (requested_by, created_at) where requested_by is not null
  `.execute(db);
  await sql`alter table events add column identity text, add column fingerprint text`.execute(db);
  await sql`create unique index events_identity on events (tenant, identity) where identity is not null`.execute(db);
}
