import type { Explanation, SimulatedDays, SimulateRequest, Simulation } from '../contracts/decision.ts';
import { Refusal } from '../contracts/errors.ts';
import type { Policy } from '../contracts/policy.ts';
import { consider } from '../domain/admission.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import { toUsd } from '../domain/money.ts';
import { type Considered, explain, judge, type Verdict } from '../domain/policy.ts';
import { createReplay, type Replayed } from '../domain/replay.ts';
import { reconsider } from '../domain/ruled-on.ts';
import type { createAdmissions } from '../store/admissions.ts';
import type { createDecisions as createDecisionStore, DecisionRecord } from '../store/decisions.ts';
import type { createPolicies } from '../store/policies.ts';

const PAGE = 1_000;
/** What one simulation looks at: about ten seconds of work where the policy has conditions. */
const MAX_REPLAYED = 100_000;
const MAX_CHANGES = 1_000;

export interface DecisionDeps {
  readonly admissions: ReturnType<typeof createAdmissions>;
  readonly decisions: ReturnType<typeof createDecisionStore>;
  readonly policies: ReturnType<typeof createPolicies>;
}

type Call = NonNullable<SimulateRequest['call']>;

export type Decisions = ReturnType<typeof createDecisions>;

/** Decisions looked at without making any: why one was made, and what another policy would have said. */
export function createDecisions({ admissions, decisions, policies }: DecisionDeps) {
  async function call(tenant: string, agentId: string, asked: Call, draft: Policy | undefined): Promise<Simulation> {
    const { run_id: _named, ...args } = asked.args ?? {};
    const facts = await admissions.facts({ tenant, agentId, tool: asked.tool });
    const request = { agentId, tool: asked.tool, args, argsHash: fingerprint(args), spendUsd: asked.spend_usd };
    const considered = consider(request, draft === undefined ? facts : { ...facts, policy: draft });
    if (considered === undefined) throw new Refusal('tool_not_found', { tool: asked.tool });
    const spend = toUsd(considered.call.spendMicros);
    return { agent_id: agentId, ...rulingOf(judge(considered)), spend_usd: spend, checks: checksOf(considered) };
  }

  async function replay(tenant: string, agentId: string, days: number, policy: Policy): Promise<SimulatedDays> {
    const put = createReplay(policy);
    const found: SimulatedDays = { agent_id: agentId, days, replayed: 0, complete: true, changed: 0, changes: [] };
    for (let after: string | undefined; ; ) {
      const { page, isLast } = await decisions.since(tenant, agentId, days, after, PAGE);
      for (const decision of page) {
        const change = changeOf(decision, put(decision));
        if (change === undefined) continue;
        found.changed += 1;
        if (found.changes.length < MAX_CHANGES) found.changes.push(change);
      }
      found.replayed += page.length;
      found.complete = isLast;
      after = page.at(-1)?.actionId;
      if (found.complete || found.replayed >= MAX_REPLAYED) return found;
    }
  }

  return {
    /**
     * Holds a policy, the one in force where none is given, against one call, or against the decisions of the last days.
     *
     * @throws {Refusal} `tool_not_found`.
     */
    async simulate(tenant: string, agentId: string, request: SimulateRequest): Promise<Simulation> {
      if (request.call !== undefined) return await call(tenant, agentId, request.call, request.policy);
      const policy = request.policy ?? (await policies.get(tenant, agentId))?.policy ?? {};
      return await replay(tenant, agentId, request.days, policy);
    },

    /**
     * Why a call was allowed or blocked: every check once more, over what was known when the decision was made.
     *
     * @throws {Refusal} `decision_not_found`.
     */
    async explain(tenant: string, actionId: string): Promise<Explanation> {
      const found = await decisions.find(tenant, actionId);
      if (found === undefined) throw new Refusal('decision_not_found');
      const { decision, policy } = found;
      const { ruledOn } = decision;
      const considered = reconsider(decision, policy ?? {});
      return {
        action_id: decision.actionId,
        agent_id: decision.agentId,
        tool: decision.tool,
        ...madeOf(decision),
        risk_level: decision.riskLevel,
        policy_version: decision.policyVersion,
        policy,
        decided_at: ruledOn.at,
        inputs: {
          args: decision.args,
          args_hash: decision.argsHash,
          asked_spend_usd: ruledOn.asked_spend_usd,
          tool_price_usd: ruledOn.price_micros === null ? null : toUsd(ruledOn.price_micros),
          spend_usd: toUsd(considered.call.spendMicros),
          agent_enabled: ruledOn.agent_enabled,
          tool_enabled: ruledOn.tool_enabled,
          actions_this_hour: ruledOn.actions_this_hour,
          tool_calls_today: ruledOn.tool_calls_today,
          spent_usd_today: toUsd(ruledOn.micros_today),
        },
        checks: checksOf(considered),
        outcome: decision.status,
      };
    },
  };
}

const checksOf = (considered: Considered): Explanation['checks'] =>
  explain(considered).map(({ check, passed, detail }) => ({ check, passed, ...(detail !== undefined && { detail }) }));

type RulingView = Pick<Explanation, 'decision' | 'policy_reason' | 'risk_level' | 'condition'>;

const rulingOf = (verdict: Verdict): RulingView =>
  verdict.kind === 'allow'
    ? { decision: 'allowed', policy_reason: 'ok', risk_level: 'low' }
    : {
        decision: verdict.reason === 'approval_required' ? 'pending' : 'blocked',
        policy_reason: verdict.reason,
        risk_level: verdict.risk,
        ...(verdict.condition !== undefined && { condition: verdict.condition }),
      };

const madeOf = ({ allowed, policyReason, condition }: DecisionRecord): Omit<RulingView, 'risk_level'> => ({
  decision: allowed ? 'allowed' : policyReason === 'approval_required' ? 'pending' : 'blocked',
  policy_reason: policyReason,
  ...(condition !== null && { condition }),
});

function changeOf(decision: DecisionRecord, { verdict, spendMicros }: Replayed) {
  const { risk_level: _risk, ...after } = rulingOf(verdict);
  const before = madeOf(decision);
  const isSame = before.policy_reason === after.policy_reason && decision.condition === (after.condition ?? null);
  if (isSame) return undefined;
  return {
    action_id: decision.actionId,
    ts: decision.at.toISOString(),
    tool: decision.tool,
    args_hash: decision.argsHash,
    spend_usd: toUsd(spendMicros),
    before,
    after,
  };
}
