import type { ColumnType, Generated } from 'kysely';

type Json<T> = ColumnType<T, string, string>;
type Moment = ColumnType<Date, Date | string, Date | string>;
type Defaulted<T> = ColumnType<T, T | undefined, T>;

interface Tenants {
  tenant: string;
  plan: Defaulted<string>;
  default_deny: Defaulted<boolean>;
  email_notifications_enabled: Defaulted<boolean>;
  tool_error_notifications_enabled: Defaulted<boolean>;
  run_failure_notifications_enabled: Defaulted<boolean>;
  created_at: Generated<Date>;
}

interface ApiKeys {
  id: string;
  tenant: string;
  name: string;
  hash: Buffer;
  preview: string;
  scopes: string[];
  is_active: Defaulted<boolean>;
  expires_at: Moment | null;
  created_at: Generated<Date>;
  revoked_at: Moment | null;
  /** The id of the key that asked for this one, and what a repeat of its request is recognised by. */
  requested_by: string | null;
  request_key: string | null;
  fingerprint: string | null;
}

interface UsageDays {
  tenant: string;
  kind: string;
  day: string;
  shard: number;
  count: number;
}

interface Agents {
  tenant: string;
  agent_id: string;
  is_enabled: Defaulted<boolean>;
  disabled_reason: string | null;
  disabled_at: Moment | null;
}

interface Policies {
  tenant: string;
  agent_id: string;
  version: number;
  policy: Json<Record<string, unknown>>;
  created_at: Generated<Date>;
}

export interface Tools {
  tenant: string;
  name: string;
  scope_id: string;
  url: string;
  secret_id: string;
  secret_cipher: Buffer;
  secret_mask: string;
  previous_cipher: Buffer | null;
  previous_until: Moment | null;
  rotated_at: Moment | null;
  rotated_by: string | null;
  chosen_here: Defaulted<boolean>;
  timeout_ms: number;
  max_retries: number;
  enabled: boolean;
  description: string | null;
  price_micros: number | null;
  idempotent: boolean;
  dedup_ttl: number;
  status_url: string | null;
  input_schema: Json<Record<string, unknown>> | null;
  created_at: Generated<Date>;
  updated_at: ColumnType<Date, Date | undefined, Date>;
}

interface AgentDays {
  tenant: string;
  agent_id: string;
  day: string;
  held_micros: number;
  spent_micros: number;
  hour_actions: number[];
  tool_calls: Record<string, number>;
}

export interface Actions {
  action_id: string;
  tenant: string;
  workflow_id: string;
  agent_id: string;
  tool: string;
  tool_scope: string;
  args: Json<Record<string, unknown>>;
  args_hash: string;
  spend_micros: number;
  hold: 'none' | 'held' | 'spent' | 'released';
  ledger_day: string;
  status: 'waiting_approval' | 'running' | 'executed' | 'blocked' | 'failed' | 'in_doubt';
  policy_reason: string;
  policy_version: number | null;
  risk_level: string;
  fence: number | null;
  run_id: string;
  of_run: Defaulted<boolean>;
  condition: string | null;
  ruled_on: Json<Record<string, unknown>> | null;
  actor: string | null;
  result: Json<Record<string, unknown>> | null;
  error: string | null;
  remember_until: Moment | null;
  created_at: Generated<Date>;
  done_at: Moment | null;
}

interface Approvals {
  id: string;
  tenant: string;
  action_id: string;
  digest: string;
  status: Defaulted<string>;
  requested_at: Generated<Date>;
  expires_at: Moment;
  decided_at: Moment | null;
  decided_by: string | null;
  reason: string | null;
}

interface Attempts {
  action_id: string;
  n: number;
  started_at: Generated<Date>;
  ended_at: Moment | null;
  outcome: string | null;
  http_status: number | null;
  error: string | null;
  may_have_acted: Defaulted<boolean>;
}

export interface Leases {
  tenant: string;
  key: string;
  fence: number;
  state: 'held' | 'completed' | 'failed' | 'canceled' | 'expired';
  lease_id: string;
  workflow_run_id: string;
  of_run: Defaulted<boolean>;
  owner: string | null;
  version: number;
  ttl: number;
  metadata: Json<Record<string, unknown>> | null;
  first_seen_at: Moment;
  expires_at: Moment;
  done_at: Moment | null;
  result: Json<Record<string, unknown>> | null;
  result_hash: string | null;
  error_code: string | null;
  error_hash: string | null;
}

export interface Audit {
  id: Generated<number>;
  tenant: string;
  ts: Generated<Date>;
  type: string;
  actor: string | null;
  key: string | null;
  agent_id: string | null;
  tool: string | null;
  action_id: string | null;
  allowed: boolean | null;
  decision: string | null;
  policy_reason: string | null;
  policy_version: number | null;
  risk_level: string | null;
  spend_micros: Defaulted<number>;
  args_hash: string | null;
  detail: Json<Record<string, unknown>> | null;
}

interface Events {
  id: Generated<number>;
  tenant: string;
  run_id: string;
  ts: ColumnType<Date, Date | undefined, never>;
  type: string;
  status: string | null;
  duration_ms: number | null;
  step: string | null;
  tool: string | null;
  req_id: string | null;
  lease_id: string | null;
  agent_id: string | null;
  message: string | null;
  data: Json<Record<string, unknown>> | null;
  /** What a repeat of a caller's own event is recognised by. */
  identity: string | null;
  fingerprint: string | null;
}

interface Runs {
  tenant: string;
  run_id: string;
  last_ts: Date;
  last_type: string;
  last_status: string | null;
  events_count: number;
}

/** Every table as Kysely sees it; the SQL itself is in `migrations/`. Money is whole micro-dollars. */
export interface Schema {
  tenants: Tenants;
  api_keys: ApiKeys;
  usage_days: UsageDays;
  agents: Agents;
  policies: Policies;
  tools: Tools;
  agent_days: AgentDays;
  actions: Actions;
  approvals: Approvals;
  attempts: Attempts;
  leases: Leases;
  audit: Audit;
  events: Events;
  runs: Runs;
}
