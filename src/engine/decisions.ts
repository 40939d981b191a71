import type { Explanation, SimulateRequest, Simulation } from '../contracts/decision.ts';
import { Refusal } from '../contracts/errors.ts';
import type { Policy } from '../contracts/policy.ts';
import { consider } from '../domain/admission.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import { toUsd } from '../domain/money.ts';
import { explain, type Judged, judge } from '../domain/policy.ts';
import { reconsider } from '../domain/ruled-on.ts';
import type { Judge } from '../judge/judge.ts';
import type { createAdmissions } from '../store/admissions.ts';
import type { createDecisions as createDecisionStore } from '../store/decisions.ts';
import type { createPolicies } from '../store/policies.ts';
import { createReplays } from './replays.ts';
import { madeOf, rulingOf } from './ruling-view.ts';

export interface DecisionDeps {
  readonly admissions: ReturnType<typeof createAdmissions>;
  readonly decisions: ReturnType<typeof createDecisionStore>;
  readonly policies: ReturnType<typeof createPolicies>;
  readonly judge: Judge;
}

type Call = NonNullable<SimulateRequest['call']>;

export type Decisions = ReturnType<typeof createDecisions>;

/** Decisions looked at without making any: why one was made, and what another policy would have said. */
export function createDecisions({ admissions, decisions, policies, judge: threads }: DecisionDeps) {
  const replay = createReplays({ decisions, judge: threads });

  async function call(tenant: string, agentId: string, asked: Call, draft: Policy | undefined): Promise<Simulation> {
    const { run_id: _named, ...args } = asked.args ?? {};
    const facts = await admissions.facts({ tenant, agentId, tool: asked.tool });
    const request = { agentId, tool: asked.tool, args, argsHash: fingerprint(args), spendUsd: asked.spend_usd };
    const considered = consider(request, draft === undefined ? facts : { ...facts, policy: draft });
    if (considered === undefined) throw new Refusal('tool_not_found', { tool: asked.tool });
    const judged = { ...considered, ...(await threads.said(tenant, considered)) };
    const spend = toUsd(considered.call.spendMicros);
    return { agent_id: agentId, ...rulingOf(judge(judged)), spend_usd: spend, checks: checksOf(judged) };
  }

  return {
    /**
     * Holds a policy, the one in force where none is given, against one call, or against the decisions of the last days. A replay
     * ends early where nobody waits for it any more (`signal`), or where conditions have been given up too often.
     *
     * @throws {Refusal} `tool_not_found`; `unavailable` where too much of the tenant waits to be judged.
     */
    async simulate(
      tenant: string,
      agentId: string,
      request: SimulateRequest,
      signal: AbortSignal,
    ): Promise<Simulation> {
      if (request.call !== undefined) return await call(tenant, agentId, request.call, request.policy);
      const policy = request.policy ?? (await policies.get(tenant, agentId))?.policy ?? {};
      return await replay(tenant, agentId, { days: request.days, policy, signal });
    },

    /**
     * Why a call was allowed or blocked: every check once more, over what was known when the decision was made.
     *
     * @throws {Refusal} `decision_not_found`; `unavailable` where too much of the tenant waits to be judged.
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
        checks: checksOf({ ...considered, ...(await threads.said(tenant, considered)) }),
        outcome: decision.status,
      };
    },
  };
}

const checksOf = (judged: Judged): Explanation['checks'] =>
  explain(judged).map(({ check, passed, detail }) => ({ check, passed, ...(detail !== undefined && { detail }) }));
