import { sql } from 'kysely';
import { Policy } from '../contracts/policy.ts';
import type { ActionRecord } from '../domain/action.ts';
import type { Facts } from '../domain/admission.ts';
import { actionColumns, latestExecution } from './actions.ts';
import type { Queries } from './database.ts';

interface FactsRow {
  actions_this_hour: number;
  tool_calls_today: number;
  micros_today: number;
  is_enabled: boolean | null;
  default_deny: boolean | null;
  tool: Facts['tool'] | null;
  policy: unknown;
  version: number | null;
  now: Date;
  own: ActionRecord | null;
  previous: Facts['previous'] | null;
  approved: boolean;
}

export const today = sql`(now() at time zone 'utc')::date`;
/** The place of this UTC hour in a ledger row's array. */
export const hourSlot = sql`extract(hour from now() at time zone 'utc')::integer + 1`;

/** Whose call it is, and by which names its key is known. */
export interface FactsOf {
  readonly tenant: string;
  readonly agentId: string;
  readonly tool: string;
  readonly actionId: string;
  readonly workflowId: string;
}

/** All that a ruling is made of, in one round trip; with `lock` none, where there is no ledger row to lock yet. */
export async function readFacts(db: Queries, of: FactsOf, { lock }: { lock: boolean }): Promise<Facts | undefined> {
  const { tenant, agentId, tool } = of;
  const row = sql`
    select held_micros + spent_micros as micros_today, hour_actions[${hourSlot}] as actions_this_hour,
           coalesce((tool_calls ->> ${tool}::text)::integer, 0) as tool_calls_today
    from agent_days where tenant = ${tenant} and agent_id = ${agentId} and day = ${today}`;
  const rowOrZeros = sql`
    select coalesce(max(micros_today), 0)::bigint as micros_today, coalesce(max(actions_this_hour), 0) as actions_this_hour,
           coalesce(max(tool_calls_today), 0) as tool_calls_today from (${row}) row`;
  const { rows } = await sql<FactsRow>`
    with ledger as materialized (${lock ? sql`${row} for update` : rowOrZeros})
    select ledger.*, g.is_enabled, n.default_deny, to_json(t) as tool, p.policy, p.version, now() as now,
           to_json(own) as own, to_json(previous) as previous,
           exists (select 1 from approvals where action_id = ${of.actionId} and status = 'approved') as approved
    from ledger
    left join agents g on g.tenant = ${tenant} and g.agent_id = ${agentId}
    left join tenants n on n.tenant = ${tenant}
    left join lateral (
      select name, scope_id as scope, price_micros as "priceMicros", enabled, timeout_ms as "timeoutMs" from tools
      where tenant = ${tenant} and name = ${tool} and scope_id in ('global', ${`agent:${agentId}`})
      order by scope_id = 'global' limit 1
    ) t on true
    left join lateral (
      select version, policy from policies where tenant = ${tenant} and agent_id = ${agentId} order by version desc limit 1
    ) p on true
    left join lateral (
      select ${actionColumns} from actions a where a.tenant = ${tenant} and a.action_id = ${of.actionId}
    ) own on true
    left join lateral (${latestExecution(tenant, of.workflowId)}) previous on true
  `.execute(db);
  return rows[0] && toFacts(rows[0]);
}

const toFacts = (row: FactsRow): Facts => ({
  own: row.own ?? undefined,
  previous: row.previous ?? undefined,
  tool: row.tool ?? undefined,
  policy: row.policy === null ? undefined : Policy.parse(row.policy),
  policyVersion: row.version,
  agentEnabled: row.is_enabled ?? true,
  defaultDeny: row.default_deny ?? false,
  approved: row.approved,
  now: row.now,
  used: {
    actionsThisHour: row.actions_this_hour,
    toolCallsToday: row.tool_calls_today,
    microsToday: row.micros_today,
  },
});
