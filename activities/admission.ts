import { type ActionAnswer, ActionRequest } from '../src/contracts/action.ts';
import type { JsonObject } from '../src/contracts/common.ts';
import { type ActionRecord, answerOf, asRepeat } from '../src/domain/action.ts';
import { type Facts, type Ruling, rule } from '../src/domain/admission.ts';
import { fingerprint } from '../src/domain/fingerprint.ts';
import { mayBeAction } from '../src/domain/workflow-id.ts';
import type { Metrics } from '../src/metrics/metrics.ts';
import type { createAdmissions } from '../src/store/admissions.ts';
import { faultsOf } from './faults.ts';

/** What its workflow is to an action. */
export interface ActionIdentity {
  readonly actionId: string;
  readonly workflowId: string;
}

interface DescribedAction extends ActionIdentity {
  readonly tenant: string;
  readonly agentId: string;
  readonly tool: string;
  /** Without `run_id`, which only names the timeline. */
  readonly args: JsonObject;
  readonly spendUsd: number | undefined;
  readonly runId: string;
  readonly ofRun: boolean;
  readonly actor: string | undefined;
}

export type Admission =
  /** Go on; an attempt may take this long. */
  | { readonly kind: 'call'; readonly tenant: string; readonly timeoutMs: number }
  | { readonly kind: 'answer'; readonly answer: ActionAnswer }
  /** Wait for a person. */
  | { readonly kind: 'approval'; readonly answer: ActionAnswer }
  | Refused;

interface Refused {
  readonly kind: 'refused';
  readonly code: 'tool_not_found' | 'idempotency_mismatch' | 'validation_error';
  readonly message?: string;
}

export interface AdmissionDeps {
  readonly admissions: ReturnType<typeof createAdmissions>;
  readonly metrics: Pick<Metrics, 'decided'>;
}

/** The step before the call: policy, budget hold and audit line, all in one transaction (docs/adr/0002). */
export const createAdmissionActivities = ({ admissions, metrics }: AdmissionDeps) => {
  const decided = (answer: ActionAnswer): Admission => {
    metrics.decided(answer.decision, answer.policy_reason);
    return { kind: 'answer', answer };
  };

  return {
    /** Rules on the action and keeps the ruling; asked again for the same action, it says the same. */
    async admit(request: unknown, identity: ActionIdentity): Promise<Admission> {
      const described = describe(request, identity);
      if ('kind' in described) return described;
      const action = { ...described, argsHash: fingerprint(described.args), actor: described.actor ?? null };
      const { ruling, facts, orphan } = await admissions.admit(action, (known) => rule(action, known));
      if (orphan !== undefined) metrics.decided(answerOf(orphan).decision, orphan.policyReason);
      switch (ruling.kind) {
        case 'allow':
          return callOf(described, facts);
        case 'known':
          return known(ruling.own, described, facts);
        case 'approval':
          metrics.decided('pending', 'approval_required');
          return { kind: 'approval', answer: undecided(described, ruling, facts.policyVersion) };
        case 'replay':
        case 'in_doubt':
          return decided(asRepeat(answerOf(ruling.previous)));
        case 'mismatch':
          return { kind: 'refused', code: 'idempotency_mismatch' };
        case 'unknown_tool':
          metrics.decided('refused', 'tool_not_found');
          return { kind: 'refused', code: 'tool_not_found' };
        case 'deny':
          return decided(blocked(described, ruling, facts.policyVersion));
      }
    },
  };
};

/** Said again, where a repeated activity asks for the same action. */
function known(own: ActionRecord, described: DescribedAction, facts: Facts): Admission {
  if (own.status === 'running') return callOf(described, facts);
  return { kind: own.status === 'waiting_approval' ? 'approval' : 'answer', answer: answerOf(own) };
}

/** A tool deleted since admission is found out by the claim; until then the longest time a tool may have is right. */
const callOf = ({ tenant }: DescribedAction, { tool }: Facts): Admission => ({
  kind: 'call',
  tenant,
  timeoutMs: tool?.timeoutMs ?? 120_000,
});

/** The action that is asked for, or what is wrong with the asking: a workflow may be started by anybody, in any way. */
function describe(request: unknown, identity: ActionIdentity): DescribedAction | Refused {
  const invalid = (message: string): Refused => ({ kind: 'refused', code: 'validation_error', message });
  const { data, error } = ActionRequest.safeParse(request);
  if (error !== undefined) return invalid(faultsOf(error));
  const { run_id: named, ...args } = data.args ?? {};
  const { tenant, agent_id: agentId, tool } = data;
  if (!mayBeAction(identity.workflowId, tenant, { agent_id: agentId, tool, args })) {
    return invalid('the workflow ID is that of another tenant or call');
  }
  const runId = data.run_id ?? (typeof named === 'string' ? named : identity.actionId);
  const { spend_usd: spendUsd, of_run: ofRun = false, actor } = data;
  return { ...identity, tenant, agentId, tool, args, spendUsd, runId, ofRun, actor };
}

const undecided = (
  action: DescribedAction,
  { risk }: Extract<Ruling, { kind: 'approval' }>,
  policyVersion: number | null,
): ActionAnswer => ({
  ...blocked(action, { kind: 'deny', reason: 'approval_required', risk }, policyVersion),
  ok: true,
  allowed: true,
  decision: 'pending',
});

const blocked = (
  action: DescribedAction,
  denial: Extract<Ruling, { kind: 'deny' }>,
  policyVersion: number | null,
): ActionAnswer => ({
  ok: false,
  allowed: false,
  decision: 'blocked',
  policy_reason: denial.reason,
  risk_level: denial.risk,
  result: null,
  action_id: action.actionId,
  workflow_id: action.workflowId,
  run_id: action.runId,
  spend_usd: 0,
  policy_version: policyVersion,
  ...(denial.condition !== undefined && { condition: denial.condition }),
});
