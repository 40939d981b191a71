import { sql } from 'kysely';
import { indexed, reindexed, unindexed } from '../migration-steps.ts';

/** The trail is listed by time, over ranges of time; what is not about an action is the tenant's feed. */
export const steps = [
  indexed('audit_recent', sql`on audit (tenant, ts, id)`),
  ...reindexed('audit_agent', sql`on audit (tenant, agent_id, ts, id) where agent_id is not null`),
  indexed('audit_feed', sql`on audit (tenant, ts, id) where action_id is null`),
  unindexed('audit_tenant'),
];
