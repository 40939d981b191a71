import { type RawBuilder, sql } from 'kysely';
import type { ServerEvent } from '../contracts/run.ts';
import type { Queries } from './database.ts';

/** One line of the audit trail. Money is whole micro-dollars; `at` defaults to the database's clock. */
export interface AuditEntry {
  readonly tenant: string;
  readonly type: string;
  readonly actor?: string | null;
  readonly key?: string;
  readonly agentId?: string;
  readonly tool?: string;
  readonly toolVersion?: number | null;
  readonly actionId?: string;
  readonly allowed?: boolean;
  readonly decision?: string;
  readonly policyReason?: string;
  readonly policyVersion?: number | null;
  readonly riskLevel?: string;
  readonly spendMicros?: number;
  readonly argsHash?: string;
  readonly detail?: Record<string, unknown>;
}

/** One line of a run's timeline. */
export interface TimelineEntry {
  readonly type: ServerEvent;
  readonly status?: string;
  readonly durationMs?: number;
  readonly message?: string;
  readonly data?: Record<string, unknown>;
}

const always = sql`true`;

/** What callers send, apart from our own: an object of one line that PostgreSQL cannot take apart is not taken apart. */
const jsonOf = (value: Record<string, unknown> | undefined): string | null =>
  value === undefined ? null : JSON.stringify(value);

/** Reasons with which a switch blocks; who has turned it is part of the line. */
const SWITCHES = new Set(['killed', 'agent_disabled']);
const isSwitched = ({ decision, policyReason = '' }: AuditEntry) =>
  decision === 'blocked' && SWITCHES.has(policyReason);

/** The detail of lines of which a switch has blocked some. One that is off again in this moment was turned by nobody. */
const withSwitcher = sql`
  case when decision = 'blocked' and "policyReason" in ('killed', 'agent_disabled') then (
    coalesce(detail::jsonb, '{}') || jsonb_strip_nulls(jsonb_build_object('switched_by', case "policyReason"
      when 'killed' then (
        select case when n.killed_at is null then n.killed_tools -> entry.tool ->> 'by' else n.killed_by end
        from tenants n where n.tenant = entry.tenant)
      else (select g.disabled_by from agents g where g.tenant = entry.tenant and g.agent_id = entry."agentId") end))
  )::json else detail end`;

/** Appends audit lines, if `condition` holds, as one INSERT that fits into a WITH clause beside the change it speaks of. */
export const appendAudit = (entries: readonly AuditEntry[], condition: RawBuilder<unknown> = always) => sql`
  insert into audit (tenant, type, actor, key, agent_id, tool, tool_version, action_id, allowed, decision, policy_reason,
                     policy_version, risk_level, spend_micros, args_hash, detail)
  select tenant, type, actor, key, "agentId", tool, "toolVersion", "actionId", allowed, decision, "policyReason",
         "policyVersion", "riskLevel", coalesce("spendMicros", 0), "argsHash",
         ${entries.some(isSwitched) ? withSwitcher : sql`detail`}
  from rows from (
    json_to_recordset(${JSON.stringify(entries.map(({ detail: _apart, ...entry }) => entry))}::json) as (
      tenant text, type text, actor text, key text, "agentId" text, tool text, "toolVersion" integer, "actionId" text, allowed boolean,
      decision text, "policyReason" text, "policyVersion" integer, "riskLevel" text, "spendMicros" bigint, "argsHash" text),
    unnest(${entries.map(({ detail }) => jsonOf(detail))}::json[])
  ) as entry(tenant, type, actor, key, "agentId", tool, "toolVersion", "actionId", allowed, decision, "policyReason",
             "policyVersion", "riskLevel", "spendMicros", "argsHash", detail)
  where ${condition}`;

/** Whose timeline is written, and in which state of the world. */
export interface Timeline {
  readonly tenant: string;
  readonly runId: string;
  readonly agentId: string | null;
  /** Null where the line is of the run as a whole. */
  readonly tool: string | null;
  /** What the line is about: an action, or the workflow run of an `agentRun`. */
  readonly actionId: string;
}

/** Appends timeline lines; `run_started` only where the run has none. */
export const appendEvents = (
  run: Timeline,
  entries: readonly TimelineEntry[],
  condition: RawBuilder<unknown> = always,
) => sql`
  insert into events (tenant, run_id, type, status, duration_ms, tool, req_id, agent_id, message, data)
  select ${run.tenant}, ${run.runId}, entry.type, entry.status, entry."durationMs", ${run.tool}, ${run.actionId},
         ${run.agentId}, entry.message, entry.data
  from rows from (
    json_to_recordset(${JSON.stringify(entries.map(({ data: _apart, ...entry }) => entry))}::json) as (
      type text, status text, "durationMs" integer, message text),
    unnest(${entries.map(({ data }) => jsonOf(data))}::json[])
  ) as entry(type, status, "durationMs", message, data)
  where ${condition} and (entry.type <> 'run_started' or not exists (
    select 1 from runs where tenant = ${run.tenant} and run_id = ${run.runId} and started))`;

/** Keeps the run's line in the list of runs: its last event and how many there are. */
export const touchRun = (run: Timeline, entries: readonly TimelineEntry[], condition: RawBuilder<unknown> = always) => {
  const last = entries.at(-1);
  const repeated = entries.filter((entry) => entry.type !== 'run_started').length;
  const starts = repeated < entries.length;
  return sql`
    insert into runs as r (tenant, run_id, last_ts, last_type, last_status, events_count, started)
    select ${run.tenant}, ${run.runId}, clock_timestamp(), ${last?.type ?? ''}::text, ${last?.status ?? null}::text,
           ${entries.length}::integer, ${starts}::boolean
    where ${condition}
    on conflict (tenant, run_id) do update set last_ts = excluded.last_ts, last_type = excluded.last_type,
      last_status = excluded.last_status, started = r.started or excluded.started,
      events_count = r.events_count + case when r.started then ${repeated}::integer else excluded.events_count end`;
};

/** Writes one line of a timeline by itself; `run_started` only where the run has none. */
export const tell = async (db: Queries, run: Timeline, entry: TimelineEntry): Promise<void> => {
  const isNew = sql`not exists (
    select 1 from runs where tenant = ${run.tenant} and run_id = ${run.runId} and started)`;
  const condition = entry.type === 'run_started' ? isNew : always;
  await sql`with event as (${appendEvents(run, [entry])}) ${touchRun(run, [entry], condition)}`.execute(db);
};
