import type { ActionAnswer } from '../src/contracts/action.ts';
import type { Ruling } from '../src/domain/admission.ts';
import { toUsd } from '../src/domain/money.ts';

interface Rehearsal {
  readonly workflowId: string;
  readonly runId: string;
  readonly policyVersion: number | null;
  readonly n: number;
}

/** What a caller is told of a call that is only decided: `pending` where it would be made (contract, section 14). */
export function rehearsedAnswer(ruling: Ruling, { workflowId, runId, policyVersion, n }: Rehearsal): ActionAnswer {
  const denial = ruling.kind === 'deny' ? ruling : undefined;
  return {
    // There is no result to use, whatever would be allowed (contract, section 5): `decision` says what would be.
    ok: false,
    allowed: false,
    decision: denial === undefined ? 'pending' : 'blocked',
    policy_reason: denial?.reason ?? (ruling.kind === 'approval' ? 'approval_required' : 'ok'),
    risk_level: denial?.risk ?? (ruling.kind === 'approval' ? ruling.risk : 'low'),
    result: null,
    action_id: `dry_run_${n}`,
    workflow_id: workflowId,
    run_id: runId,
    spend_usd: ruling.kind === 'allow' ? toUsd(ruling.spendMicros) : 0,
    policy_version: policyVersion,
    ...(denial?.condition !== undefined && { condition: denial.condition }),
    ...(denial?.misfit !== undefined && { arguments_error: denial.misfit }),
  };
}
