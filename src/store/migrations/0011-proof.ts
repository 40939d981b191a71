import { sql } from 'kysely';
import { inBatches, indexed, statements } from '../migration-steps.ts';

const claims = sql`
  alter table attempts add column token text;
  -- One row: a value that every process has to be able to open before it takes work (src/store/master-key.ts).
  create table known_values (name text primary key, cipher bytea not null);
`;

const gates = sql`
  alter table agents add column policy_version integer not null default 0;
  insert into agents (tenant, agent_id) select distinct tenant, agent_id from policies on conflict do nothing;
  update agents g set policy_version = p.version
    from (select tenant, agent_id, max(version) as version from policies group by tenant, agent_id) p
    where p.tenant = g.tenant and p.agent_id = g.agent_id;
  alter table tools add column version integer not null default 1;
  -- Outlives the tool: one that is registered again under its name is another version.
  create table tool_versions (
    tenant text not null,
    name text not null,
    scope_id text not null,
    version integer not null,
    primary key (tenant, name, scope_id)
  );
  insert into tool_versions (tenant, name, scope_id, version) select tenant, name, scope_id, 1 from tools;
  alter table actions add column tool_version integer, add column gate_version integer, add column run_key text,
    add column run_n integer, add column run_lease_id text, add column run_fence bigint;
`;

/** Open ones are few, and found by the index of their kind. */
const openActions = sql`
  update actions set gate_version = coalesce(policy_version, 0) where status = 'running' and gate_version is null
`;

const approvals = sql`
  alter table approvals drop constraint approvals_action_id_key, drop constraint approvals_status_check;
  alter table approvals add constraint approvals_status_check
    check (status in ('pending', 'approved', 'denied', 'expired', 'superseded'));
  alter table approvals add column n integer not null default 1, add column tool_version integer not null default 0,
    add column target text not null default '', add column spend_micros bigint not null default 0,
    add column policy_version integer, add column rule text not null default 'require_approval',
    add column claimed_actor text;
  create unique index approvals_of_action on approvals (action_id, n);
`;

const leases = sql`
  alter table leases add column acquisition text, add column run_open boolean not null default true,
    add column begun_fence bigint, add column run_id text, add column run_agent_id text;
`;

const begunFences = inBatches(
  (limit) => sql`
    update leases set begun_fence = fence
    where ctid = any(array(select ctid from leases where begun_fence is null limit ${limit} for update))
  `,
);

/** Counted by inserting only: no writer of money ever waits for a counter's row. */
const counters = sql`
  create table usage_increments (
    tenant text not null,
    kind text not null,
    day date not null,
    count bigint not null
  );
  create index usage_increments_read on usage_increments (tenant, kind, day);
`;

const promises = sql`
  create table accepted_actions (
    action_id text primary key,
    tenant text not null,
    workflow_id text not null,
    agent_id text not null,
    tool text not null,
    args_hash text not null,
    run_id text not null,
    accepted_at timestamptz not null default clock_timestamp(),
    -- What came of it without an action of its own: the outcome of another, or a refusal.
    answered_by text,
    refused text
  );
`;

/**
 * What is needed to say only what is known: who claimed an attempt, by which version of a policy it was let through, what
 * exactly was approved, which undertaking an action of a run belongs to, and which callers were told to come again.
 */
export const steps = [
  ...[claims, gates, openActions, approvals, leases, counters, promises].map(statements),
  begunFences,
  // Proven before it is declared: declaring would look at every row while nobody can read or write one.
  statements(sql`alter table leases add constraint leases_begun check (begun_fence is not null) not valid`),
  begunFences,
  statements(sql`alter table leases validate constraint leases_begun`),
  statements(sql`
    alter table leases alter column begun_fence set not null;
    alter table leases drop constraint leases_begun;
  `),
  indexed('leases_held', sql`on leases (expires_at) where state = 'held'`),
  indexed('actions_standing', sql`on actions (action_id) where status in ('running', 'waiting_approval')`),
  indexed('actions_of_run_ids', sql`on actions (tenant, workflow_id, created_at) where run_key is not null`),
  indexed('actions_of_runs', sql`on actions (tenant, run_key, run_n, run_fence) where run_key is not null`),
];
