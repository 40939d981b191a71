import type { Explanation } from '../contracts/decision.ts';
import type { Verdict } from '../domain/policy.ts';
import type { DecisionRecord } from '../store/decisions.ts';

export type RulingView = Pick<
  Explanation,
  'decision' | 'policy_reason' | 'risk_level' | 'condition' | 'arguments_error'
>;

/** A verdict as the wire has it. */
export const rulingOf = (verdict: Verdict): RulingView =>
  verdict.kind === 'allow'
    ? { decision: 'allowed', policy_reason: 'ok', risk_level: 'low' }
    : {
        decision: verdict.reason === 'approval_required' ? 'pending' : 'blocked',
        policy_reason: verdict.reason,
        risk_level: verdict.risk,
        ...(verdict.condition !== undefined && { condition: verdict.condition }),
        ...(verdict.misfit !== undefined && { arguments_error: verdict.misfit }),
      };

/** A decision that was made, likewise. */
export const madeOf = ({ allowed, policyReason, condition }: DecisionRecord): Omit<RulingView, 'risk_level'> => ({
  decision: allowed ? 'allowed' : policyReason === 'approval_required' ? 'pending' : 'blocked',
  policy_reason: policyReason,
  ...(condition !== null && { condition }),
});
