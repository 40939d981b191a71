import { sql } from 'kysely';
import { Policy } from '../contracts/policy.ts';
import type { ActionRecord } from '../domain/action.ts';
import type { Facts } from '../domain/admission.ts';
import { actionColumns, latestExecution } from './actions.ts';
import type { Queries } from './database.ts';
import { isKilled } from './kills.ts';

interface FactsRow {
  actions_this_hour: number;
  tool_calls_today: number;
  micros_today: number;
  killed: boolean | null;
  is_enabled: boolean | null;
  default_deny: boolean | null;
  tool: Facts['tool'] | null;
  policy: unknown;
  version: number | null;
  now: Date;
  own: ActionRecord | null;
  previous: Facts['previous'] | null;
  approval: Facts['approval'] | null;
  run_is_over: boolean;
}

export const today = sql`(now() at time zone 'utc')::date`;
/** The place of this UTC hour in a ledger row's array. */
export const hourSlot = sql`extract(hour from now() at time zone 'utc')::integer + 1`;

/** The lease of the run that an action belongs to. */
export interface OfRun {
  readonly key: string;
  readonly n: number;
  readonly leaseId: string;
  readonly fence: number;
}

/** Whose call it is, and by which names its key is known. */
export interface FactsOf {
  readonly tenant: string;
  readonly agentId: string;
  readonly tool: string;
  readonly actionId: string;
  readonly workflowId: string;
  readonly ofRun: OfRun | null;
}

/**
 * All that a ruling is made of, in one round trip. With `lock` the rows of this action and of the latest execution of its key
 * are locked, then the ledger's (docs/concepts.md, "Locks"), and what is told of them is how they stand under the locks;
 * none, where there is no ledger row to lock yet.
 */
export async function readFacts(db: Queries, of: FactsOf, { lock }: { lock: boolean }): Promise<Facts | undefined> {
  const { tenant, agentId, tool, ofRun } = of;
  const row = sql`
    select held_micros + spent_micros as micros_today, hour_actions[${hourSlot}] as actions_this_hour,
           coalesce((tool_calls ->> ${tool}::text)::integer, 0) as tool_calls_today
    from agent_days where tenant = ${tenant} and agent_id = ${agentId} and day = ${today}`;
  const rowOrZeros = sql`
    select coalesce(max(micros_today), 0)::bigint as micros_today, coalesce(max(actions_this_hour), 0) as actions_this_hour,
           coalesce(max(tool_calls_today), 0) as tool_calls_today from (${row}) row`;
  const { rows } = await sql<FactsRow>`
    with keyed as materialized (
      select ${actionColumns}, coalesce(a.remember_until > now(), false) as remembered from actions a
      where a.tenant = ${tenant} and a.action_id in (
        select ${of.actionId} union all
        select latest."actionId" from (${latestExecution(tenant, of.workflowId)}) latest)
      order by a.action_id ${lock ? sql`for update` : sql``}
    ), ledger as materialized (${lock ? sql`${row} and (select count(*) from keyed) >= 0 for update` : rowOrZeros})
    select ledger.*, ${isKilled(sql`n`, sql`${tool}::text`)} as killed, g.is_enabled, n.default_deny, to_json(t) as tool, p.policy, p.version, now() as now,
           (select to_json(keyed) from keyed where "actionId" = ${of.actionId}) as own,
           (select to_json(keyed) from keyed where "workflowId" = ${of.workflowId} and fence is not null
            order by fence desc limit 1) as previous,
           to_json(asked) as approval,
           ${ofRun === null ? sql`false` : lostLease(tenant, ofRun)} as run_is_over
    from ledger
    left join agents g on g.tenant = ${tenant} and g.agent_id = ${agentId}
    left join tenants n on n.tenant = ${tenant}
    left join lateral (
      select name, scope_id as scope, url as target, version, price_micros as "priceMicros", enabled,
             timeout_ms as "timeoutMs", dedup_ttl as "dedupTtl", input_schema::text as "inputSchema" from tools
      where tenant = ${tenant} and name = ${tool} and scope_id in ('global', ${`agent:${agentId}`})
      order by scope_id = 'global' limit 1
    ) t on true
    left join lateral (
      select version, policy from policies where tenant = ${tenant} and agent_id = ${agentId} order by version desc limit 1
    ) p on true
    left join lateral (
      select n, status, tool_version as "toolVersion", spend_micros as "spendMicros" from approvals
      where action_id = ${of.actionId} order by n desc limit 1
    ) asked on true
  `.execute(db);
  return rows[0] && toFacts(rows[0]);
}

/** Whether a run does not hold its key any more; one whose time has passed does, for as long as nobody has taken it since. */
const lostLease = (tenant: string, { key, leaseId }: OfRun) => sql`not exists (
  select 1 from leases where tenant = ${tenant} and key = ${key} and lease_id = ${leaseId} and state = 'held')`;

const toFacts = (row: FactsRow): Facts => ({
  own: row.own ?? undefined,
  previous: row.previous ?? undefined,
  tool: row.tool ?? undefined,
  policy: row.policy === null ? undefined : Policy.parse(row.policy),
  policyVersion: row.version,
  killed: row.killed ?? false,
  agentEnabled: row.is_enabled ?? true,
  defaultDeny: row.default_deny ?? false,
  approval: row.approval ?? undefined,
  runIsOver: row.run_is_over,
  now: row.now,
  used: {
    actionsThisHour: row.actions_this_hour,
    toolCallsToday: row.tool_calls_today,
    microsToday: row.micros_today,
  },
});
