import { type RawBuilder, sql } from 'kysely';
import type { ActionAnswer, PolicyReason, RiskLevel } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import { DEFAULT_APPROVAL_TTL_SECONDS } from '../contracts/settings.ts';
import { impossible } from '../domain/abandonment.ts';
import { type ActionRecord, answerOf, asRepeat, isOpen } from '../domain/action.ts';
import type { Facts, Judgement, Ruling } from '../domain/admission.ts';
import { approvalOfAction } from '../domain/approval.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import { ruledOn } from '../domain/ruled-on.ts';
import type { UsageKind } from '../domain/usage.ts';
import { abandon, closeOrphan } from './abandonments.ts';
import { answerAccepted } from './accepted.ts';
import { findAction } from './actions.ts';
import type { Queries } from './database.ts';
import { hourSlot, type OfRun, readFacts, today } from './facts.ts';
import type { Pools } from './pools.ts';
import { type AuditEntry, appendAudit, appendEvents, type TimelineEntry, touchRun } from './trail.ts';
import { ofAgent } from './turns.ts';
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
  /** The run it is one of several of, which tells of its own end on the timeline. */
  readonly ofRun: OfRun | null;
  readonly actor: string | null;
}

export interface Admitted {
  readonly ruling: Ruling;
  readonly facts: Facts;
  /** The action that was ended on the way: it held the key, and its workflow is gone. */
  readonly orphan: ActionRecord | undefined;
}

export const createAdmissions = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /** What a ruling on a call would be made of now; nothing is locked or kept, and a key is looked at only where one is named. */
  facts: async (
    call: Pick<NewAction, 'tenant' | 'agentId' | 'tool'> & { readonly workflowId?: string },
  ): Promise<Facts> => {
    const facts = await readFacts(reads, { workflowId: '', ...call, actionId: '', ofRun: null }, { lock: false });
    if (facts === undefined) throw new Error('facts without a lock are always there');
    return facts;
  },

  /** Keeps a denial, for which no workflow is needed, on the record: its row, its line, its place on the timeline and its count. */
  refuse: (action: NewAction, facts: Facts, ruling: Extract<Ruling, { kind: 'deny' }>): Promise<void> =>
    writes.run(turnOf(action), (db) => refuse(db, action, facts, ruling)),

  /** The same for a call of a tool that is not there, which is no action. */
  refuseUnknown: (action: NewAction): Promise<void> => writes.run(turnOf(action), (db) => noteUnknown(db, action)),

  /**
   * Rules on an action and keeps the ruling, in one transaction: the hold, the count, the action's row and its audit
   * line are there together or not at all. Serialised per (tenant, agent, UTC day) by the ledger's row lock, so that
   * no cap is exceeded at any instant. Repeating it for the same action changes nothing. `judged` is what its conditions have
   * said before, which the rule holds against the facts; where it does not fit, nothing is kept (`unjudged`).
   */
  admit(action: NewAction, judged: Judgement | undefined, rule: (facts: Facts) => Ruling): Promise<Admitted> {
    writes.note(action.actionId, action.agentId);
    return writes.transact(turnOf(action), async (tx) => {
      let facts = (await readFacts(tx, action, { lock: true })) ?? (await openLedger(tx, action));
      let orphan: ActionRecord | undefined;
      if (facts.own === undefined && facts.previous !== undefined && isOpen(facts.previous.status)) {
        const closed = await closeOrphan(tx, action.tenant, facts.previous);
        if (closed.settled) orphan = closed.action;
        facts = (await readFacts(tx, action, { lock: true })) ?? facts;
      }
      facts = { ...facts, judged };
      const ruling = rule(facts);
      await keep(tx, action, facts, ruling);
      return { ruling, facts, orphan };
    });
  },

  /**
   * Ends an action on the record that cannot be admitted, for a fault that would come again each time. Nothing of it is held
   * or has left; one that has been admitted meanwhile is given up.
   */
  fail: (action: NewAction, error: string): Promise<ActionRecord> =>
    writes.transact(turnOf(action), (tx) => failUnmade(tx, action, error)),
});

const turnOf = ({ tenant, agentId }: NewAction) => ofAgent(tenant, agentId);

async function failUnmade(tx: Queries, action: NewAction, error: string): Promise<ActionRecord> {
  const { tenant, actionId } = action;
  const there = await findAction(tx, tenant, actionId);
  if (there !== undefined) return (await abandon(tx, tenant, actionId, impossible(error))).action;
  const row = {
    status: 'failed',
    reason: 'tool_error',
    risk: 'low',
    error,
    toolScope: 'global',
    spendMicros: 0,
  } as const;
  const audit = auditOf(action, {
    type: 'action_failed',
    decision: 'failed',
    allowed: true,
    policyReason: 'tool_error',
  });
  const entry: TimelineEntry = { type: 'tool_result', status: 'error', message: error };
  const told = { ...audit, riskLevel: 'low', detail: { error } } as const;
  await note(tx, action, [entry], 'ai_unsuccessful', told, insertAction(action, undefined, row));
  const made = await findAction(tx, tenant, actionId);
  if (made === undefined) throw new Error(`action ${actionId} is not in the store`);
  return made;
}

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
  // Its run does not hold its key any more: what it would do, somebody else may be doing by now.
  if (ruling.kind === 'run_over') return void (await failUnmade(tx, action, 'run_over'));
  // Deleted while a person was asked: what waits has to end.
  if (ruling.kind === 'unknown_tool' && facts.own !== undefined)
    return void (await abandon(tx, action.tenant, action.actionId, impossible('tool_deleted')));
  if (ruling.kind === 'unknown_tool') {
    await answerAccepted(action.tenant, action, { refused: 'tool_not_found' }).execute(tx);
    return await noteUnknown(tx, action);
  }
  if (ruling.kind === 'mismatch')
    return void (await answerAccepted(action.tenant, action, { refused: 'idempotency_mismatch' }).execute(tx));
  if (ruling.kind === 'replay' || ruling.kind === 'in_doubt') {
    const { previous } = ruling;
    const entry = repeatEntry(action, asRepeat(answerOf(previous)));
    const accepted = answerAccepted(action.tenant, action, { answeredBy: previous.actionId });
    await sql`
      with counted as (${addOne(action.tenant, 'ai_repeats')}), accepted as (${accepted}) ${appendAudit([entry])}
    `.execute(tx);
  }
}

const noteUnknown = (tx: Queries, action: NewAction): Promise<void> =>
  note(tx, action, [unknownTool], 'ai_unsuccessful', auditOf(action, { type: 'tool_not_found' }));

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
  // What the policy said of it, whatever came of the call.
  allowed: answer.decision !== 'blocked',
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

/** What happened without a call, on the timeline and in the trail, in one statement with the action's row, if it has one. */
async function note(
  db: Queries,
  action: NewAction,
  results: TimelineEntry[],
  kind: UsageKind,
  audit: AuditEntry,
  row?: RawBuilder<unknown>,
): Promise<void> {
  const entries: TimelineEntry[] = [
    runStarted,
    ...results,
    ...(action.ofRun !== null ? [] : [{ type: 'run_finished', status: results.at(-1)?.status ?? 'error' } as const]),
  ];
  await sql`
    with ${row === undefined ? sql`` : sql`action as (${row}),`} audited as (${appendAudit([audit])}),
    timeline as (${appendEvents(action, entries)}), counted as (${addOne(action.tenant, kind)})
    ${touchRun(action, entries)}
  `.execute(db);
}

async function refuse(db: Queries, action: NewAction, facts: Facts, ruling: Ruling & { kind: 'deny' }): Promise<void> {
  const { reason, risk, condition = null, misfit: error = null } = ruling;
  const toolScope = facts.tool?.scope ?? 'global';
  const why = condition ?? error;
  await note(
    db,
    action,
    [{ type: 'tool_result', status: 'blocked', message: why === null ? reason : `${reason}: ${why}` }],
    'ai_blocked',
    {
      ...auditOf(action, { type: 'action_blocked', decision: 'blocked', allowed: false }),
      toolVersion: facts.tool?.version ?? null,
      policyReason: reason,
      policyVersion: facts.policyVersion,
      riskLevel: risk,
      ...(condition !== null && { detail: { condition } }),
      ...(error !== null && { detail: { arguments_error: error } }),
    },
    insertAction(action, facts, { status: 'blocked', reason, risk, condition, error, toolScope, spendMicros: 0 }),
  );
}

/**
 * Keeps a call that waits for a person: it holds its key, but neither money nor a place in the limits. What is shown is kept
 * with it; an earlier asking that showed something else is superseded.
 */
async function wait(
  tx: Queries,
  action: NewAction,
  facts: Facts,
  ruling: Ruling & { kind: 'approval' },
): Promise<void> {
  const { toolScope, risk, spendMicros } = ruling;
  const { policyVersion, approval: earlier, tool } = facts;
  const told = {
    ...{ policyReason: 'approval_required', policyVersion, riskLevel: risk },
    toolVersion: tool?.version ?? null,
  } as const;
  const audit = auditOf(action, { type: 'approval_requested', ...told });
  const superseded = auditOf(action, { type: 'approval_superseded', ...told });
  const entries: TimelineEntry[] = [runStarted, { type: 'tool_call', status: 'waiting_approval' }];
  const digest = fingerprint({ agent_id: action.agentId, args: action.args, tool: action.tool });
  const n = (earlier?.n ?? 0) + 1;
  await sql`
    with action as (
      ${insertAction(action, facts, { status: 'waiting_approval', reason: 'approval_required', risk, toolScope, spendMicros: 0 })}
    ), earlier as (
      update approvals set status = 'superseded', decided_at = coalesce(decided_at, clock_timestamp())
      where action_id = ${action.actionId} and status in ('pending', 'approved')
    ), audited as (${appendAudit(earlier?.status === 'approved' ? [superseded, audit] : [audit])}),
    timeline as (${appendEvents(action, entries)}), asked as (
      insert into approvals (id, tenant, action_id, n, digest, tool_version, target, spend_micros, policy_version, rule, expires_at)
      values (${approvalOfAction(action.actionId, n)}, ${action.tenant}, ${action.actionId}, ${n}, ${digest},
              ${tool?.version ?? 0}, ${tool?.target ?? ''}, ${spendMicros}, ${policyVersion}, 'require_approval',
              clock_timestamp() + make_interval(secs => coalesce(${facts.policy?.approval_ttl_seconds ?? null}::integer,
                (select approval_ttl_seconds from tenants where tenant = ${action.tenant}), ${DEFAULT_APPROVAL_TTL_SECONDS})))
      returning 1
    )
    ${touchRun(action, entries, sql`(select count(*) from asked) >= 0`)}
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
    toolVersion: facts.tool?.version ?? null,
    riskLevel: 'low',
    spendMicros,
  });
  const entries: TimelineEntry[] = [runStarted, { type: 'tool_call', status: 'running' }];
  // Everything hangs on the action's row: one that has ended meanwhile holds nothing and has no line that says otherwise.
  const admitted = sql`exists (select 1 from action)`;
  await sql`
    with action as (
      ${insertAction(action, facts, { status: 'running', reason: 'ok', risk: 'low', toolScope, spendMicros })}
      returning 1
    ), ledger as (
      update agent_days set held_micros = held_micros + ${spendMicros}::bigint,
        hour_actions[${hourSlot}] = hour_actions[${hourSlot}] + 1,
        tool_calls = tool_calls || jsonb_build_object(${tool}::text, ${facts.used.toolCallsToday + 1}::integer)
      where tenant = ${tenant} and agent_id = ${agentId} and day = ${today} and ${admitted}
      returning 1
    ), audited as (${appendAudit([audit], admitted)}), timeline as (${appendEvents(action, entries, admitted)})
    ${touchRun(action, entries, sql`exists (select 1 from ledger)`)}
  `.execute(tx);
}

interface NewRow {
  readonly status: 'waiting_approval' | 'running' | 'blocked' | 'failed';
  readonly reason: PolicyReason;
  readonly risk: RiskLevel;
  readonly condition?: string | null;
  readonly error?: string | null;
  readonly toolScope: string;
  readonly spendMicros: number;
}

/**
 * Writes the action's row, or brings the one that has waited for a person up to date. What is blocked, or failed before it was
 * admitted, takes no fence. `facts` are absent where they could not be had.
 */
function insertAction(action: NewAction, facts: Facts | undefined, row: NewRow) {
  const { status, reason, risk, condition = null, error = null, toolScope, spendMicros } = row;
  const { ofRun } = action;
  const isOver = status === 'blocked' || status === 'failed';
  const fence = isOver ? null : (facts?.previous?.fence ?? 0) + 1;
  const policyVersion = facts?.policyVersion ?? null;
  const result =
    error === null || status === 'blocked' ? null : JSON.stringify({ error, http_status: null, detail: null });
  return sql`
    insert into actions as a (action_id, tenant, workflow_id, agent_id, tool, tool_scope, tool_version, args, args_hash,
                              spend_micros, hold, ledger_day, status, policy_reason, policy_version, gate_version, risk_level,
                              fence, run_id, of_run, run_key, run_n, run_lease_id, run_fence, actor, condition, ruled_on,
                              result, error, done_at)
    values (${action.actionId}, ${action.tenant}, ${action.workflowId}, ${action.agentId}, ${action.tool}, ${toolScope},
            ${facts?.tool?.version ?? null}, ${JSON.stringify(action.args)}, ${action.argsHash}, ${spendMicros},
            ${status === 'running' ? 'held' : 'none'}, ${today}, ${status}, ${reason}, ${policyVersion}, ${policyVersion ?? 0},
            ${risk}, ${fence}, ${action.runId}, ${ofRun !== null}, ${ofRun?.key ?? null}, ${ofRun?.n ?? null},
            ${ofRun?.leaseId ?? null}, ${ofRun?.fence ?? null}, ${action.actor}, ${condition},
            ${facts === undefined ? null : JSON.stringify(ruledOn(action, facts))}, ${result}::json, ${error},
            case when ${isOver} then clock_timestamp() end)
    on conflict (action_id) do update set tool_scope = excluded.tool_scope, tool_version = excluded.tool_version,
      spend_micros = excluded.spend_micros, hold = excluded.hold, ledger_day = excluded.ledger_day, status = excluded.status,
      policy_reason = excluded.policy_reason, policy_version = excluded.policy_version, gate_version = excluded.gate_version,
      risk_level = excluded.risk_level, condition = excluded.condition, ruled_on = excluded.ruled_on,
      result = excluded.result, error = excluded.error, done_at = excluded.done_at
    where a.status = 'waiting_approval'`;
}
