import { type Kysely, sql } from 'kysely';

/**
 * What actions are listed and counted by. The agent's index carries what its metrics add up, so that a week of a busy
 * agent is read from the index alone; refused and failed ones, which are few, are found without walking past the others.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index actions_agent on actions (tenant, agent_id, created_at, action_id)
      include (tool, status, spend_micros)
  `.execute(db);
  await sql`
    create index actions_unsuccessful on actions (tenant, status, created_at, action_id)
      where status in ('blocked', 'failed')
  `.execute(db);
}
