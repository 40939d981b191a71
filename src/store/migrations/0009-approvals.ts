import { sql } from 'kysely';
import { reindexed, statements } from '../migration-steps.ts';

/** Calls that wait for a person. */
export const steps = [
  statements(sql`
    alter table actions drop constraint actions_status_check;
    alter table actions add constraint actions_status_check
      check (status in ('waiting_approval', 'running', 'executed', 'blocked', 'failed', 'in_doubt')) not valid;
  `),
  // Looks at every row, beside writers.
  statements(sql`alter table actions validate constraint actions_status_check`),
  ...reindexed(
    'actions_open',
    sql`on actions (tenant, agent_id) where status in ('running', 'in_doubt', 'waiting_approval')`,
  ),
  statements(sql`
    create table approvals (
      id text primary key,
      tenant text not null,
      action_id text not null unique references actions on delete cascade,
      digest text not null,
      status text not null default 'pending' check (status in ('pending', 'approved', 'denied', 'expired')),
      requested_at timestamptz not null default clock_timestamp(),
      expires_at timestamptz not null,
      decided_at timestamptz,
      decided_by text,
      reason text
    );
    create index approvals_recent on approvals (tenant, requested_at, id);
    create index approvals_pending on approvals (tenant, requested_at, id) where status = 'pending';
  `),
];
