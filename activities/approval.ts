import type { ActionAnswer } from '../src/contracts/action.ts';
import { type Approval, ApprovalCall } from '../src/contracts/approval.ts';
import { answerOf } from '../src/domain/action.ts';
import { NATIVE_ACTOR } from '../src/domain/actor.ts';
import type { ApprovalVerdict, createApprovals } from '../src/store/approvals.ts';
import type { Telling } from './admission.ts';
import { parseInput } from './faults.ts';

export interface ApprovalDeps {
  readonly approvals: ReturnType<typeof createApprovals>;
  readonly outcomes: Telling;
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

/** How long an action still waits; 0 where it does not: then `admit` says what comes next. */
export interface StandingApproval {
  readonly secondsLeft: number;
}

/** The steps of an action that waits for a person. */
export function createApprovalActivities({ approvals, outcomes }: ApprovalDeps) {
  async function decide({ tenant, actionId }: Waiting, verdict: ApprovalVerdict): Promise<Decided> {
    const decided = await approvals.decideAction(tenant, actionId, verdict);
    if (decided === undefined) return { kind: 'refused', code: 'approval_not_found' };
    const { approval, made, settled, action } = decided;
    if (settled) outcomes.ended(action);
    return { kind: 'decided', approval, made, answer: answerOf(action) };
  }

  return {
    /** Approves or denies, once; a denial ends the action. */
    async decideApproval(waiting: Waiting, status: 'approved' | 'denied', said: unknown): Promise<Decided> {
      const { data, error } = parseInput(ApprovalCall, said);
      if (error !== undefined) return { kind: 'refused', code: 'validation_error', message: error };
      const { actor: claimedActor, reason = null } = data;
      return await decide(waiting, { status, actor: NATIVE_ACTOR, claimedActor, reason });
    },

    /** Ends an action that nobody has decided on in time. */
    expireApproval: (waiting: Waiting): Promise<Decided> =>
      decide(waiting, { status: 'expired', actor: null, claimedActor: null, reason: null }),

    /** Whether the action still waits for a person, by its row. */
    async approvalStanding({ tenant, actionId }: Waiting): Promise<StandingApproval> {
      return { secondsLeft: await approvals.secondsLeft(tenant, actionId) };
    },
  };
}
