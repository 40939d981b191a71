import { type Kysely, sql } from 'kysely';

const accounts = sql`
create table tenants (
  tenant text primary key,
  plan text not null default 'self_hosted',
  default_deny boolean not null default false,
  email_notifications_enabled boolean not null default true,
  tool_error_notifications_enabled boolean not null default true,
  run_failure_notifications_enabled boolean not null default true,
  created_at timestamptz not null default now()
);
create table api_keys (
  id text primary key,
  tenant text not null references tenants,
  name text not null,
  hash bytea not null unique,
  preview text not null,
  scopes text[] not null,
  is_active boolean not null default true,
  expires_at timestamptz,
  created_at timestamptz not null default now()
);
-- Sixteen rows a counter, added up when read: a busy tenant does not queue on one row lock.
create table usage_counters (
  tenant text not null,
  month date not null,
  kind text not null,
  shard smallint not null,
  count bigint not null,
  primary key (tenant, month, kind, shard)
) with (fillfactor = 50);
`;

const governance = sql`
create table agents (
  tenant text not null,
  agent_id text not null,
  is_enabled boolean not null default true,
  disabled_reason text,
  disabled_at timestamptz,
  primary key (tenant, agent_id)
);
create table policies (
  tenant text not null,
  agent_id text not null,
  version integer not null,
  policy json not null,
  created_at timestamptz not null default now(),
  primary key (tenant, agent_id, version)
);
create table tools (
  tenant text not null,
  name text not null,
  scope_id text not null,
  url text not null,
  secret_id text not null,
  secret_cipher bytea not null,
  secret_mask text not null,
  timeout_ms integer not null,
  max_retries integer not null,
  enabled boolean not null,
  description text,
  price_micros bigint,
  idempotent boolean not null,
  dedup_ttl integer not null,
  status_url text,
  input_schema json,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant, name, scope_id)
);
-- The budget ledger: one row an agent and UTC day, whose lock serialises every hold of that agent.
create table agent_days (
  tenant text not null,
  agent_id text not null,
  day date not null,
  held_micros bigint not null default 0 check (held_micros >= 0),
  spent_micros bigint not null default 0 check (spent_micros >= 0),
  hour_actions integer[] not null default array_fill(0, array[24]),
  tool_calls jsonb not null default '{}',
  primary key (tenant, agent_id, day)
) with (fillfactor = 50);
`;

const actions = sql`
create table actions (
  action_id text primary key,
  tenant text not null,
  workflow_id text not null,
  agent_id text not null,
  tool text not null,
  tool_scope text not null,
  args json not null,
  args_hash text not null,
  spend_micros bigint not null,
  hold text not null check (hold in ('none', 'held', 'spent', 'released')),
  ledger_day date not null,
  status text not null check (status in ('running', 'executed', 'blocked', 'failed', 'in_doubt')),
  policy_reason text not null,
  policy_version integer,
  risk_level text not null,
  fence bigint,
  run_id text not null,
  actor text,
  result json,
  error text,
  remember_until timestamptz,
  created_at timestamptz not null default now(),
  done_at timestamptz
) with (fillfactor = 80);
create unique index actions_executions on actions (tenant, workflow_id, fence) where fence is not null;
create index actions_recent on actions (tenant, created_at, action_id);
create index actions_open on actions (tenant, agent_id) where status in ('running', 'in_doubt');
create table attempts (
  action_id text not null references actions on delete cascade,
  n integer not null,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  outcome text,
  http_status integer,
  error text,
  primary key (action_id, n)
);
create table leases (
  tenant text not null,
  key text not null,
  fence bigint not null,
  state text not null check (state in ('held', 'completed', 'failed', 'canceled', 'expired')),
  lease_id text not null,
  workflow_run_id text not null,
  owner text,
  version integer not null,
  ttl integer not null,
  metadata json,
  first_seen_at timestamptz not null,
  expires_at timestamptz not null,
  done_at timestamptz,
  result json,
  result_hash text,
  error_code text,
  error_hash text,
  primary key (tenant, key)
) with (fillfactor = 70);
`;

const trail = sql`
create table audit (
  id bigint generated always as identity primary key,
  tenant text not null,
  ts timestamptz not null default clock_timestamp(),
  type text not null,
  actor text,
  key text,
  agent_id text,
  tool text,
  action_id text,
  allowed boolean,
  decision text,
  policy_reason text,
  policy_version integer,
  risk_level text,
  spend_micros bigint not null default 0,
  args_hash text,
  detail json
);
create index audit_tenant on audit (tenant, id);
create index audit_agent on audit (tenant, agent_id, id) where agent_id is not null;
create table events (
  id bigint generated always as identity primary key,
  tenant text not null,
  run_id text not null,
  ts timestamptz not null default clock_timestamp(),
  type text not null,
  status text,
  duration_ms integer,
  step text,
  tool text,
  req_id text,
  lease_id text,
  agent_id text,
  message text,
  data json
);
create index events_run on events (tenant, run_id, id);
create table runs (
  tenant text not null,
  run_id text not null,
  last_ts timestamptz not null,
  last_type text not null,
  last_status text,
  events_count integer not null,
  primary key (tenant, run_id)
) with (fillfactor = 70);
create index runs_recent on runs (tenant, last_ts);
`;

/** The tables of the first release. Forward only: a later change is a later file. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const part of [accounts, governance, actions, trail]) await part.execute(db);
}
