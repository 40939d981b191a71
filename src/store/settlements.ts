import { type RawBuilder, sql } from 'kysely';
import type { Standing } from '../domain/abandonment.ts';
import type { ActionRecord } from '../domain/action.ts';
import type { AttemptEnd, Ending } from '../domain/settlement.ts';
import { actionColumns, findAction } from './actions.ts';
import type { Queries } from './database.ts';
import { isKilled } from './kills.ts';
import type { Pools } from './pools.ts';
import { type AuditEntry, appendAudit, appendEvents, type TimelineEntry, touchRun } from './trail.ts';
import { ofAgent } from './turns.ts';
import { addUsage, type Counted } from './usage.ts';

/** What becomes of the held money: a block and a failure give it back, doubt keeps it. */
const holds = { executed: 'spent', failed: 'released', blocked: 'released', in_doubt: 'held' } as const;
const results = { executed: 'ok', failed: 'error', blocked: 'blocked', in_doubt: 'in_doubt' } as const;

/** A tool may take 120 s, and what is around its call a little more (workflows/steps.ts). */
const LONGEST_ATTEMPT_SECONDS = 150;

/** The action as it now stands, and whether it was ended here. */
export interface Settled {
  readonly action: ActionRecord;
  readonly settled: boolean;
}

export const createSettlements = ({ writes }: Pick<Pools, 'writes'>) => ({
  /**
   * Ends an action in one statement: its attempt, its row, its hold, its audit line, its timeline and its count change
   * together. An action that has ended stays as it is; the answer is always the action as it now stands.
   */
  settle: (tenant: string, action: ActionRecord, ending: Ending): Promise<Settled> =>
    writes.run(ofAgent(tenant, action.agentId), (db) => settle(db, tenant, action, ending)),

  /**
   * Ends an action in doubt as not executed, unless an attempt of it is out at this moment: that could still act, under a key
   * that was given free. Undefined then; an attempt that has told nothing for longer than any may take has nobody behind it.
   */
  giveFree: (tenant: string, action: ActionRecord, ending: Ending): Promise<Settled | undefined> =>
    writes.transact(ofAgent(tenant, action.agentId), async (tx) => {
      const { actionId } = action;
      await sql`select 1 from actions where tenant = ${tenant} and action_id = ${actionId} for update`.execute(tx);
      const { rows } = await sql`
        select 1 from attempts where action_id = ${actionId} and ended_at is null
          and started_at > clock_timestamp() - make_interval(secs => ${sql.lit(LONGEST_ATTEMPT_SECONDS)})
      `.execute(tx);
      return rows.length > 0 ? undefined : await settle(tx, tenant, action, ending);
    }),

  /**
   * Notes how an attempt ended that does not end its action, and says which switch stops another, if one does. The rows of the
   * switches are share-locked as by a claim: a disable or a kill finds the attempt either ended or followed by a look at them.
   */
  async endAttempt(
    tenant: string,
    { actionId, agentId, tool }: ActionRecord,
    attempt: AttemptEnd,
  ): Promise<Standing['stoppedBy']> {
    const { rows } = await writes.run(ofAgent(tenant, agentId), (db) =>
      sql<{ is_enabled: boolean | null; killed: boolean | null }>`
        with agent as materialized (
          select is_enabled from agents where tenant = ${tenant} and agent_id = ${agentId} for share
        ), tenant as materialized (
          select ${isKilled(sql`n`, sql`${tool}::text`)} as killed from tenants n
          where n.tenant = ${tenant} and (select count(*) from agent) >= 0 for key share of n
        ), ended as (${endAttempt(actionId, attempt, sql`(select count(*) from tenant) >= 0`)})
        select (select is_enabled from agent) as is_enabled, (select killed from tenant) as killed
      `.execute(db),
    );
    if (rows[0]?.killed) return 'killed';
    return rows[0]?.is_enabled === false ? 'agent_disabled' : undefined;
  },
});

/** What an attempt may have done stays said, also where a later send of the same attempt did nothing. */
const endAttempt = (actionId: string, attempt: AttemptEnd, condition: RawBuilder<unknown>) => sql`
  update attempts set ended_at = clock_timestamp(), outcome = ${attempt.outcome}, http_status = ${attempt.httpStatus},
                      error = ${attempt.error}, may_have_acted = may_have_acted or ${attempt.mayHaveActed}
  where action_id = ${actionId} and n = ${attempt.n} and ended_at is null and ${condition}`;

const noAttempt = sql`select 1`;

/** {@link createSettlements}' `settle`, also as part of a transaction. */
export async function settle(db: Queries, tenant: string, action: ActionRecord, ending: Ending): Promise<Settled> {
  const { actionId } = action;
  const { status, attempt } = ending;
  const hold = holds[status];
  const entries = timelineOf(ending, action);
  const settled = sql`exists (select 1 from action)`;
  // Each part waits for the one before it: action, attempt, ledger, run (docs/concepts.md, "Locks"). The order in which they
  // are written would not do it.
  const afterLedger = sql`${settled} and (select count(*) from ledger) >= 0`;
  const run = { tenant, runId: action.runId, agentId: action.agentId, tool: action.tool, actionId };
  const { rows } = await sql<ActionRecord>`
    with action as (
      update actions as a set status = ${status}, policy_reason = ${ending.policyReason}, hold = case when a.hold = 'none' then 'none' else ${hold} end,
        result = ${ending.result === null ? null : JSON.stringify(ending.result)}::json, error = ${ending.error},
        done_at = case when ${status} = 'in_doubt' then null else clock_timestamp() end,
        remember_until = case when ${ending.rememberSeconds}::integer > 0
          then clock_timestamp() + make_interval(secs => ${ending.rememberSeconds}::integer) end
      where a.tenant = ${tenant} and a.action_id = ${actionId}
        and (a.status in ('running', 'waiting_approval') or (a.status = 'in_doubt' and ${status} <> 'in_doubt'))
      returning ${actionColumns}, a.ledger_day, a.hold,
        extract(hour from coalesce((a.ruled_on ->> 'at')::timestamptz, a.created_at) at time zone 'utc')::integer + 1 as slot
    ), attempt as (${attempt === undefined ? noAttempt : endAttempt(actionId, attempt, sql`(select count(*) from action) >= 0`)}),
    ledger as (
      update agent_days as d set
        held_micros = d.held_micros - a."spendMicros",
        spent_micros = d.spent_micros + case when ${hold} = 'spent' then a."spendMicros" else 0 end
        ${status === 'blocked' ? uncount : sql``}
      from action a
      where d.tenant = ${tenant} and d.agent_id = a."agentId" and d.day = a.ledger_day and a.hold in ('spent', 'released')
      returning 1
    ), audited as (${appendAudit([auditOf(tenant, action, ending)], settled)}),
    timeline as (${appendEvents(run, entries, settled)}),
    run as (${touchRun(run, entries, afterLedger)}),
    counted as (${addUsage(usageOf(tenant, status), settled)})
    select * from action
  `.execute(db);
  const [ended] = rows;
  if (ended !== undefined) return { action: ended, settled: true };
  return { action: (await findAction(db, tenant, actionId)) ?? action, settled: false };
}

/** A call that was stopped before it left does not count against the agent's limits. */
const uncount = sql`,
  hour_actions[a.slot] = greatest(d.hour_actions[a.slot] - 1, 0),
  tool_calls = d.tool_calls || jsonb_build_object(a.tool, greatest((d.tool_calls ->> a.tool)::integer - 1, 0))`;

/** An action in doubt counts as what it turns out to be. */
const counted = { executed: 'ai_runs', failed: 'ai_unsuccessful', blocked: 'ai_blocked' } as const;
const usageOf = (tenant: string, status: Ending['status']): Counted[] =>
  status === 'in_doubt' ? [] : [{ tenant, kind: counted[status], count: 1 }];

function timelineOf({ status, attempt, error }: Ending, { ofRun }: ActionRecord): TimelineEntry[] {
  const result: TimelineEntry = {
    type: 'tool_result',
    status: results[status],
    ...(attempt === undefined
      ? {}
      : { durationMs: attempt.durationMs, data: { attempt: attempt.n, http_status: attempt.httpStatus } }),
    ...(error === null ? {} : { message: error }),
  };
  return status === 'in_doubt' || ofRun ? [result] : [result, { type: 'run_finished', status: results[status] }];
}

const auditOf = (tenant: string, action: ActionRecord, ending: Ending): AuditEntry => ({
  tenant,
  type: `action_${ending.status}`,
  actor: ending.actor ?? action.actor,
  key: action.workflowId,
  agentId: action.agentId,
  tool: action.tool,
  toolVersion: action.toolVersion,
  actionId: action.actionId,
  allowed: ending.status !== 'blocked',
  decision: ending.status,
  policyReason: ending.policyReason,
  policyVersion: action.policyVersion,
  riskLevel: action.riskLevel,
  spendMicros: ending.status === 'executed' || ending.status === 'in_doubt' ? action.spendMicros : 0,
  argsHash: action.argsHash,
  ...detailOf(ending),
});

function detailOf({ error, reason, claimedActor }: Ending): Pick<AuditEntry, 'detail'> {
  const detail = {
    ...(error !== null && { error }),
    ...(reason !== undefined && { reason }),
    ...(claimedActor !== undefined && { claimed_actor: claimedActor }),
  };
  return Object.keys(detail).length === 0 ? {} : { detail };
}
