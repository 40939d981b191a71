import { sql } from 'kysely';
import type { ActionAnswer, PolicyReason, RiskLevel } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import { type ActionRecord, answerOf, asRepeat, isOpen } from '../domain/action.ts';
import type { Facts, Ruling } from '../domain/admission.ts';
import { APPROVAL_SECONDS, approvalOfAction } from '../domain/approval.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import { ruledOn } from '../domain/ruled-on.ts';
import type { UsageKind } from '../domain/usage.ts';
import { closeOrphan } from './abandonments.ts';
import type { Database, Queries } from './database.ts';
import { hourSlot, readFacts, today } from './facts.ts';
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
  readonly spendUsd: number | undefined;
  readonly runId: string;
  readonly ofRun: boolean;
  readonly actor: string | null;
}

export interface Admitted {
  readonly ruling: Ruling;
  readonly facts: Facts;
  /** The action that was ended on the way: it held the key, and its workflow is gone. */
  readonly orphan: ActionRecord | undefined;
}

export const createAdmissions = (db: Database) => ({
  /** What a ruling on a call would be made of now; nothing is locked or kept, no key is looked at. */
  facts: async (call: Pick<NewAction, 'tenant' | 'agentId' | 'tool'>): Promise<Facts> => {
    const facts = await readFacts(db, { ...call, actionId: '', workflowId: '' }, { lock: false });
    if (facts === undefined) throw new Error('facts without a lock are always there');
    return facts;
  },

  /**
   * Rules on an action and keeps the ruling, in one transaction: the hold, the count, the action's row and its audit
   * line are there together or not at all. Serialised per (tenant, agent, UTC day) by the ledger's row lock, so that
   * no cap is exceeded at any instant. Repeating it for the same action changes nothing.
   */
  admit: (action: NewAction, rule: (facts: Facts) => Ruling): Promise<Admitted> =>
    db.transaction().execute(async (tx) => {
      let facts = (await readFacts(tx, action, { lock: true })) ?? (await openLedger(tx, action));
      let orphan: ActionRecord | undefined;
      if (facts.own === undefined && facts.previous !== undefined && isOpen(facts.previous.status)) {
        const closed = await closeOrphan(tx, action.tenant, facts.previous);
        if (closed.settled) orphan = closed.action;
        facts = (await readFacts(tx, action, { lock: true })) ?? facts;
      }
      const ruling = rule(facts);
      await keep(tx, action, facts, ruling);
      return { ruling, facts, orphan };
    }),
});

/** The first action of an agent, or of its day, makes the rows that the others lock. */
async function openLedger(tx: Queries, action: NewAction): Promise<Facts> {
  const { tenant, agentId } = action;
  await sql`
    with agent as (insert into agents (tenant, agent_id) values (${tenant}, ${agentId}) on conflict do nothing)
    insert into agent_days (tenant, agent_id, day) values (${tenant}, ${agentId}, ${today}) on conflict do nothing
  `.execute(tx);
  const facts = await readFacts(tx, action, { lock: true });
  if (facts === undefined) throw new Error('the ledger row that was just made is gone');
  return facts;
}

async function keep(tx: Queries, action: NewAction, facts: Facts, ruling: Ruling): Promise<void> {
  if (ruling.kind === 'allow') return await hold(tx, action, facts, ruling);
  if (ruling.kind === 'deny') return await refuse(tx, action, facts, ruling);
  if (ruling.kind === 'approval') return await wait(tx, action, facts, ruling);
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
    ...(action.ofRun ? [] : [{ type: 'run_finished', status: results.at(-1)?.status ?? 'error' } as const]),
  ];
  await sql`
    with audited as (${appendAudit([audit])}), timeline as (${appendEvents(action, entries)}),
    counted as (${addOne(action.tenant, kind)})
    ${touchRun(action, entries)}
  `.execute(tx);
}

async function refuse(tx: Queries, action: NewAction, facts: Facts, ruling: Ruling & { kind: 'deny' }): Promise<void> {
  const { reason, risk, condition = null } = ruling;
  await sql`${insertAction(action, facts, {
    status: 'blocked',
    reason,
    risk,
    condition,
    toolScope: facts.tool?.scope ?? 'global',
    spendMicros: 0,
  })}`.execute(tx);
  await note(
    tx,
    action,
    [{ type: 'tool_result', status: 'blocked', message: condition === null ? reason : `${reason}: ${condition}` }],
    'ai_blocked',
    {
      ...auditOf(action, { type: 'action_blocked', decision: 'blocked', allowed: false }),
      policyReason: reason,
      policyVersion: facts.policyVersion,
      riskLevel: risk,
      ...(condition !== null && { detail: { condition } }),
    },
  );
}

/** Keeps a call that waits for a person: it holds its key, but neither money nor a place in the limits. */
async function wait(
  tx: Queries,
  action: NewAction,
  facts: Facts,
  ruling: Ruling & { kind: 'approval' },
): Promise<void> {
  const { toolScope, risk } = ruling;
  const audit = auditOf(action, {
    type: 'approval_requested',
    policyReason: 'approval_required',
    policyVersion: facts.policyVersion,
    riskLevel: risk,
  });
  const entries: TimelineEntry[] = [runStarted, { type: 'tool_call', status: 'waiting_approval' }];
  const digest = fingerprint({ agent_id: action.agentId, args: action.args, tool: action.tool });
  await sql`
    with action as (
      ${insertAction(action, facts, { status: 'waiting_approval', reason: 'approval_required', risk, toolScope, spendMicros: 0 })}
    ), audited as (${appendAudit([audit])}), timeline as (${appendEvents(action, entries)}),
    run as (${touchRun(action, entries)})
    insert into approvals (id, tenant, action_id, digest, expires_at)
    values (${approvalOfAction(action.actionId)}, ${action.tenant}, ${action.actionId}, ${digest},
            clock_timestamp() + make_interval(secs => ${sql.lit(APPROVAL_SECONDS)}))
  `.execute(tx);
}

async function hold(tx: Queries, action: NewAction, facts: Facts, ruling: Ruling & { kind: 'allow' }): Promise<void> {
  const { tenant, agentId, tool } = action;
  const { spendMicros, toolScope } = ruling;
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
      ${insertAction(action, facts, { status: 'running', reason: 'ok', risk: 'low', toolScope, spendMicros })}
    ), audited as (${appendAudit([audit])}), timeline as (${appendEvents(action, entries)})
    ${touchRun(action, entries)}
  `.execute(tx);
}

interface NewRow {
  readonly status: 'waiting_approval' | 'running' | 'blocked';
  readonly reason: PolicyReason;
  readonly risk: RiskLevel;
  readonly condition?: string | null;
  readonly toolScope: string;
  readonly spendMicros: number;
}

/** Writes the action's row, or brings the one that has waited for a person up to date. What is blocked takes no fence. */
function insertAction(action: NewAction, facts: Facts, row: NewRow) {
  const { status, reason, risk, condition = null, toolScope, spendMicros } = row;
  const fence = status === 'blocked' ? null : (facts.previous?.fence ?? 0) + 1;
  return sql`
    insert into actions as a (action_id, tenant, workflow_id, agent_id, tool, tool_scope, args, args_hash, spend_micros, hold,
                              ledger_day, status, policy_reason, policy_version, risk_level, fence, run_id, of_run, actor,
                              condition, ruled_on, done_at)
    values (${action.actionId}, ${action.tenant}, ${action.workflowId}, ${action.agentId}, ${action.tool}, ${toolScope},
            ${JSON.stringify(action.args)}, ${action.argsHash}, ${spendMicros}, ${status === 'running' ? 'held' : 'none'},
            ${today}, ${status}, ${reason}, ${facts.policyVersion}, ${risk}, ${fence}, ${action.runId}, ${action.ofRun},
            ${action.actor}, ${condition}, ${JSON.stringify(ruledOn(action, facts))},
            case when ${status === 'blocked'} then clock_timestamp() end)
    on conflict (action_id) do update set tool_scope = excluded.tool_scope, spend_micros = excluded.spend_micros,
      hold = excluded.hold, ledger_day = excluded.ledger_day, status = excluded.status,
      policy_reason = excluded.policy_reason, policy_version = excluded.policy_version, risk_level = excluded.risk_level,
      condition = excluded.condition, ruled_on = excluded.ruled_on, done_at = excluded.done_at
    where a.status = 'waiting_approval'`;
}
