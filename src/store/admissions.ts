import { sql } from 'kysely';
import type { ActionAnswer } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import { Policy } from '../contracts/policy.ts';
import { type ActionRecord, answerOf, asRepeat } from '../domain/action.ts';
import type { Facts, Ruling } from '../domain/admission.ts';
import type { UsageKind } from '../domain/usage.ts';
import { closeOrphan } from './abandonments.ts';
import { actionColumns, latestExecution } from './actions.ts';
import type { Database, Queries } from './database.ts';
import { type AuditEntry, appendAudit, appendEvents, type TimelineEntry, touchRun } from './trail.ts';
import { addOne } from './usage.ts';

/** An action that asks to be admitted. */
export interface NewAction {
  readonly tenant: string;
  readonly actionId: string;
  readonly workflowId: string;
  readonly agentId: string;
  readonly tool: string;
  readonly args: JsonObject;
  readonly argsHash: string;
  readonly runId: string;
  readonly actor: string | null;
}

export interface Admitted {
  readonly ruling: Ruling;
  readonly facts: Facts;
}

export const createAdmissions = (db: Database) => ({
  /**
   * Rules on an action and keeps the ruling, in one transaction: the hold, the count, the action's row and its audit
   * line are there together or not at all. Serialised per (tenant, agent, UTC day) by the ledger's row lock, so that
   * no cap is exceeded at any instant. Repeating it for the same action changes nothing.
   */
  admit: (action: NewAction, rule: (facts: Facts) => Ruling): Promise<Admitted> =>
    db.transaction().execute(async (tx) => {
      let facts = (await lockFacts(tx, action)) ?? (await openLedger(tx, action));
      if (facts.own === undefined && facts.previous?.status === 'running') {
        await closeOrphan(tx, action.tenant, facts.previous);
        facts = (await lockFacts(tx, action)) ?? facts;
      }
      const ruling = rule(facts);
      await keep(tx, action, facts, ruling);
      return { ruling, facts };
    }),
});

interface FactsRow {
  actions_this_hour: number;
  tool_calls_today: number;
  micros_today: number;
  is_enabled: boolean | null;
  default_deny: boolean | null;
  tool: Facts['tool'] | null;
  policy: unknown;
  version: number | null;
  own: ActionRecord | null;
  previous: Facts['previous'] | null;
}

const today = sql`(now() at time zone 'utc')::date`;
const hourSlot = sql`extract(hour from now() at time zone 'utc')::integer + 1`;

async function lockFacts(tx: Queries, action: NewAction): Promise<Facts | undefined> {
  const { tenant, agentId, tool } = action;
  const { rows } = await sql<FactsRow>`
    with ledger as materialized (
      select held_micros + spent_micros as micros_today, hour_actions[${hourSlot}] as actions_this_hour,
             coalesce((tool_calls ->> ${tool}::text)::integer, 0) as tool_calls_today
      from agent_days where tenant = ${tenant} and agent_id = ${agentId} and day = ${today} for update
    )
    select ledger.*, g.is_enabled, n.default_deny, to_json(t) as tool, p.policy, p.version,
           to_json(own) as own, to_json(previous) as previous
    from ledger
    join agents g on g.tenant = ${tenant} and g.agent_id = ${agentId}
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
      select ${actionColumns} from actions a where a.tenant = ${tenant} and a.action_id = ${action.actionId}
    ) own on true
    left join lateral (${latestExecution(tenant, action.workflowId)}) previous on true
  `.execute(tx);
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
  used: {
    actionsThisHour: row.actions_this_hour,
    toolCallsToday: row.tool_calls_today,
    microsToday: row.micros_today,
  },
});

/** The first action of an agent, or of its day, makes the rows that the others lock. */
async function openLedger(tx: Queries, action: NewAction): Promise<Facts> {
  const { tenant, agentId } = action;
  await sql`
    with agent as (insert into agents (tenant, agent_id) values (${tenant}, ${agentId}) on conflict do nothing)
    insert into agent_days (tenant, agent_id, day) values (${tenant}, ${agentId}, ${today}) on conflict do nothing
  `.execute(tx);
  const facts = await lockFacts(tx, action);
  if (facts === undefined) throw new Error('the ledger row that was just made is gone');
  return facts;
}

async function keep(tx: Queries, action: NewAction, facts: Facts, ruling: Ruling): Promise<void> {
  if (ruling.kind === 'allow') return await hold(tx, action, facts, ruling);
  if (ruling.kind === 'deny') return await refuse(tx, action, facts, ruling);
  if (ruling.kind === 'unknown_tool')
    return await note(tx, action, [unknownTool], 'ai_unsuccessful', auditOf(action, { type: 'tool_not_found' }));
  if (ruling.kind === 'replay' || ruling.kind === 'in_doubt') {
    const entry = repeatEntry(action, asRepeat(answerOf(ruling.previous)));
    await sql`with counted as (${addOne(action.tenant, 'ai_repeats')}) ${appendAudit([entry])}`.execute(tx);
  }
}

/** The audit line of a call that was answered with what another call of the same key had led to. */
export const repeatEntry = (
  action: Pick<NewAction, 'tenant' | 'workflowId' | 'agentId' | 'tool' | 'argsHash' | 'actor'>,
  answer: ActionAnswer,
): AuditEntry => ({
  tenant: action.tenant,
  type: `action_${answer.decision}`,
  actor: action.actor,
  key: action.workflowId,
  agentId: action.agentId,
  tool: action.tool,
  actionId: answer.action_id,
  allowed: answer.allowed,
  decision: answer.decision,
  policyReason: answer.policy_reason,
  policyVersion: answer.policy_version,
  riskLevel: answer.risk_level,
  argsHash: action.argsHash,
  detail: { repeat: true },
});

const runStarted: TimelineEntry = { type: 'run_started', status: 'running' };
const unknownTool: TimelineEntry = { type: 'tool_result', status: 'error', message: 'tool_not_found' };

const auditOf = (action: NewAction, rest: Partial<AuditEntry> & { type: string }): AuditEntry => ({
  tenant: action.tenant,
  actor: action.actor,
  key: action.workflowId,
  agentId: action.agentId,
  tool: action.tool,
  actionId: action.actionId,
  argsHash: action.argsHash,
  ...rest,
});

/** What happened without a call, on the timeline and in the trail. */
async function note(
  tx: Queries,
  action: NewAction,
  results: TimelineEntry[],
  kind: UsageKind,
  audit: AuditEntry,
): Promise<void> {
  const entries: TimelineEntry[] = [
    runStarted,
    ...results,
    { type: 'run_finished', status: results.at(-1)?.status ?? 'error' },
  ];
  await sql`
    with audited as (${appendAudit([audit])}), timeline as (${appendEvents(action, entries)}),
    counted as (${addOne(action.tenant, kind)})
    ${touchRun(action, entries)}
  `.execute(tx);
}

async function refuse(tx: Queries, action: NewAction, facts: Facts, ruling: Ruling & { kind: 'deny' }): Promise<void> {
  const { reason, risk } = ruling;
  await sql`
    insert into actions (action_id, tenant, workflow_id, agent_id, tool, tool_scope, args, args_hash, spend_micros, hold,
                         ledger_day, status, policy_reason, policy_version, risk_level, run_id, actor, done_at)
    values (${action.actionId}, ${action.tenant}, ${action.workflowId}, ${action.agentId}, ${action.tool},
            ${facts.tool?.scope ?? 'global'}, ${JSON.stringify(action.args)}, ${action.argsHash}, 0, 'none', ${today},
            'blocked', ${reason}, ${facts.policyVersion}, ${risk}, ${action.runId}, ${action.actor}, clock_timestamp())
  `.execute(tx);
  await note(tx, action, [{ type: 'tool_result', status: 'blocked', message: reason }], 'ai_blocked', {
    ...auditOf(action, { type: 'action_blocked', decision: 'blocked', allowed: false }),
    policyReason: reason,
    policyVersion: facts.policyVersion,
    riskLevel: risk,
  });
}

async function hold(tx: Queries, action: NewAction, facts: Facts, ruling: Ruling & { kind: 'allow' }): Promise<void> {
  const { tenant, agentId, tool } = action;
  const { spendMicros } = ruling;
  const audit = auditOf(action, {
    type: 'action_admitted',
    decision: 'allowed',
    allowed: true,
    policyReason: 'ok',
    policyVersion: facts.policyVersion,
    riskLevel: 'low',
    spendMicros,
  });
  const entries: TimelineEntry[] = [runStarted, { type: 'tool_call', status: 'running' }];
  await sql`
    with ledger as (
      update agent_days set held_micros = held_micros + ${spendMicros}::bigint,
        hour_actions[${hourSlot}] = hour_actions[${hourSlot}] + 1,
        tool_calls = tool_calls || jsonb_build_object(${tool}::text, ${facts.used.toolCallsToday + 1}::integer)
      where tenant = ${tenant} and agent_id = ${agentId} and day = ${today}
    ), action as (
      insert into actions (action_id, tenant, workflow_id, agent_id, tool, tool_scope, args, args_hash, spend_micros, hold,
                           ledger_day, status, policy_reason, policy_version, risk_level, fence, run_id, actor)
      values (${action.actionId}, ${tenant}, ${action.workflowId}, ${agentId}, ${tool}, ${ruling.toolScope},
              ${JSON.stringify(action.args)}, ${action.argsHash}, ${spendMicros}, 'held', ${today}, 'running', 'ok',
              ${facts.policyVersion}, 'low', ${(facts.previous?.fence ?? 0) + 1}, ${action.runId}, ${action.actor})
    ), audited as (${appendAudit([audit])}), timeline as (${appendEvents(action, entries)})
    ${touchRun(action, entries)}
  `.execute(tx);
}
