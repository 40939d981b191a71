import type { ColumnType, Generated } from 'kysely';

type Json<T> = ColumnType<T, string, string>;
type Moment = ColumnType<Date, Date | string, Date | string>;
type Defaulted<T> = ColumnType<T, T | undefined, T>;

interface Tenants {
  tenant: string;
  plan: Defaulted<string>;
  default_deny: Defaulted<boolean>;
  /** Seconds; null: {@link DEFAULT_APPROVAL_TTL_SECONDS}. */
  approval_ttl_seconds: number | null;
  killed_at: Moment | null;
  killed_reason: string | null;
  killed_by: string | null;
  /** By their names, each with when and why. */
  killed_tools: Defaulted<Record<string, { at: string; reason: string | null }>>;
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
  /** The agents it speaks for; null: any. */
  agent_ids: string[] | null;
  last_used_at: Moment | null;
  /** How often it was rotated. */
  generation: Defaulted<number>;
  rotated_at: Moment | null;
  /** The id of the key that asked for the latest rotation, and what a repeat of it is recognised by. */
  rotated_by: string | null;
  rotation_key: string | null;
  rotation_fingerprint: string | null;
}

/** What a key was before it was rotated, while that still opens. */
interface ApiKeyOverlaps {
  hash: Buffer;
  id: string;
  valid_until: Moment;
  created_at: Generated<Date>;
}

/** One row. */
interface Deployment {
  id: Generated<string>;
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
  disabled_by: string | null;
  /** The version in force; 0 where there is none. Kept here so that the lock of this row tells of a change. */
  policy_version: Defaulted<number>;
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
  /** A JSON object of names and values; null where it has none. */
  headers_cipher: Buffer | null;
  header_names: Defaulted<string[]>;
  timeout_ms: number;
  max_retries: number;
  enabled: boolean;
  description: string | null;
  price_micros: number | null;
  idempotent: boolean;
  dedup_ttl: number;
  status_url: string | null;
  input_schema: Json<Record<string, unknown>> | null;
  version: Defaulted<number>;
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
  tool_version: number | null;
  /** The version of the policy whose lists have let it through so far; 0 where there is none. */
  gate_version: number | null;
  /** Of an action of a run: the run's key, its place, and the lease and fence it was made under. */
  run_key: string | null;
  run_n: number | null;
  run_lease_id: string | null;
  run_fence: number | null;
  created_at: Generated<Date>;
  done_at: Moment | null;
}

/** Calls whose callers were told that they are accepted, before anything was decided about them. */
interface AcceptedActions {
  action_id: string;
  tenant: string;
  workflow_id: string;
  agent_id: string;
  tool: string;
  args_hash: string;
  run_id: string;
  accepted_at: Generated<Date>;
  answered_by: string | null;
  refused: string | null;
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
  claimed_actor: string | null;
  reason: string | null;
  n: Defaulted<number>;
  tool_version: number;
  target: string;
  spend_micros: number;
  policy_version: number | null;
  rule: string;
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
  /** Whose claim it is: an execution that has not written a byte may take it again. */
  token: string | null;
}

interface KnownValues {
  name: string;
  cipher: Buffer;
}

interface UsageIncrements {
  tenant: string;
  kind: string;
  day: string;
  count: number;
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
  /** Which request has acquired it: asking again under the same one is no other holder. */
  acquisition: string | null;
  /** Whether its workflow run may still mind it: a run says no in the same transaction in which it finds its end. */
  run_open: Defaulted<boolean>;
  /** The fence that the undertaking began with: a run that is gone on with keeps it. */
  begun_fence: number;
  /** Of a run: the timeline that tells of it, and its agent. */
  run_id: string | null;
  run_agent_id: string | null;
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
  tool_version: number | null;
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
  /** The server has written its beginning. */
  started: Defaulted<boolean>;
}

/** Every table as Kysely sees it; the SQL itself is in `migrations/`. Money is whole micro-dollars. */
export interface Schema {
  tenants: Tenants;
  api_keys: ApiKeys;
  api_key_overlaps: ApiKeyOverlaps;
  usage_days: UsageDays;
  usage_increments: UsageIncrements;
  known_values: KnownValues;
  deployment: Deployment;
  accepted_actions: AcceptedActions;
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
