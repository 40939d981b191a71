import { type Kysely, sql } from 'kysely';

/**
 * Scopes become sets, keys may be bound to agents, rotated, and tell when they were last used. The names that scopes had are
 * kept beside the new ones: processes of the version before go on reading them while they are replaced (docs/operations.md,
 * "Upgrades").
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table api_keys
      add column agent_ids text[],
      add column last_used_at timestamptz,
      add column generation integer not null default 0,
      add column rotated_at timestamptz,
      add column rotated_by text,
      add column rotation_key text,
      add column rotation_fingerprint text
  `.execute(db);
  await sql`
    create table api_key_overlaps (
      hash bytea primary key,
      id text not null references api_keys,
      valid_until timestamptz not null,
      created_at timestamptz not null default clock_timestamp()
    )
  `.execute(db);
  await sql`create index api_key_overlaps_of_key on api_key_overlaps (id)`.execute(db);
  await sql`update api_keys set scopes = scopes || '{auditor}' where 'read' = any (scopes)`.execute(db);
  await sql`update api_keys set scopes = scopes || '{agent,operator}' where 'write' = any (scopes)`.execute(db);
}
