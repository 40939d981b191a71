import type { ActionAnswer } from '../src/contracts/action.ts';
import { type Approval, ApprovalCall } from '../src/contracts/approval.ts';
import { answerOf } from '../src/domain/action.ts';
import type { Metrics } from '../src/metrics/metrics.ts';
import type { ApprovalVerdict, createApprovals } from '../src/store/approvals.ts';
import { faultsOf } from './faults.ts';

export interface ApprovalDeps {
  readonly approvals: ReturnType<typeof createApprovals>;
  readonly metrics: Pick<Metrics, 'decided'>;
}

/** An action that waits for a person. */
export interface Waiting {
  readonly tenant: string;
  readonly actionId: string;
}

export type Decided =
  /** What stands, and the action as it is with it. `made`: it was decided by this very call. */
  | { readonly kind: 'decided'; readonly approval: Approval; readonly made: boolean; readonly answer: ActionAnswer }
  | {
      readonly kind: 'refused';
      readonly code: 'validation_error' | 'approval_not_found';
      readonly message?: string;
    };

/** The steps of an action that waits for a person. */
export function createApprovalActivities({ approvals, metrics }: ApprovalDeps) {
  async function decide({ tenant, actionId }: Waiting, verdict: ApprovalVerdict): Promise<Decided> {
    const decided = await approvals.decide(tenant, actionId, verdict);
    if (decided === undefined) return { kind: 'refused', code: 'approval_not_found' };
    const { approval, made, action } = decided;
    const answer = answerOf(action);
    if (made && action.status === 'blocked') metrics.decided(answer.decision, answer.policy_reason);
    return { kind: 'decided', approval, made, answer };
  }

  return {
    /** Approves or denies, once; a denial ends the action. */
    async decideApproval(waiting: Waiting, status: 'approved' | 'denied', said: unknown): Promise<Decided> {
      const { data, error } = ApprovalCall.safeParse(said);
      if (error !== undefined) return { kind: 'refused', code: 'validation_error', message: faultsOf(error) };
      return await decide(waiting, { status, actor: data.actor, reason: data.reason ?? null });
    },

    /** Ends an action that nobody has decided on in time; the answer is what stands. */
    expireApproval: (waiting: Waiting): Promise<Decided> =>
      decide(waiting, { status: 'expired', actor: null, reason: null }),
  };
}
