import { type Kysely, sql } from 'kysely';

/** The trail is listed by time, over ranges of time; what is not about an action is the tenant's feed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`drop index audit_tenant`.execute(db);
  await sql`drop index audit_agent`.execute(db);
  await sql`create index audit_recent on audit (tenant, ts, id)`.execute(db);
  await sql`
    create index audit_agent on audit (tenant, agent_id, ts, id) where agent_id is not null
  `.execute(db);
  await sql`create index audit_feed on audit (tenant, ts, id) where action_id is null`.execute(db);
}
