import { sql } from 'kysely';
import { indexed } from '../migration-steps.ts';

/**
 * What actions are listed and counted by. The agent's index carries what its metrics add up, so that a week of a busy
 * agent is read from the index alone; refused and failed ones, which are few, are found without walking past the others.
 */
export const steps = [
  indexed(
    'actions_agent',
    sql`on actions (tenant, agent_id, created_at, action_id) include (tool, status, spend_micros)`,
  ),
  indexed(
    'actions_unsuccessful',
    sql`on actions (tenant, status, created_at, action_id) where status in ('blocked', 'failed')`,
  ),
];
