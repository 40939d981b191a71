import { type Kysely, sql } from 'kysely';

/** What a tenant sets for all its agents, its own kill switch, and whether the server has begun a run's timeline. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table tenants
      add column approval_ttl_seconds integer,
      add column killed_at timestamptz,
      add column killed_reason text,
      add column killed_tools jsonb not null default '{}'
  `.execute(db);
  // Of what is there the server has written the beginning; a constant default rewrites nothing.
  await sql`alter table runs add column started boolean not null default true`.execute(db);
  await sql`alter table runs alter column started set default false`.execute(db);
}
