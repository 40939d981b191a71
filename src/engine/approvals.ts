import type { Approval, ApprovalRequest } from '../contracts/approval.ts';
import { Refusal } from '../contracts/errors.ts';
import type { createActions } from '../store/actions.ts';
import type { ApprovalFilter, ApprovalPage, createApprovals as createApprovalStore } from '../store/approvals.ts';
import { createLiveness, type LivenessDeps } from './action/liveness.ts';
import type { Reach } from './reach.ts';

export interface ApprovalEngineDeps extends LivenessDeps {
  readonly actions: Pick<ReturnType<typeof createActions>, 'find'>;
  readonly approvals: ReturnType<typeof createApprovalStore>;
  readonly reach: Reach;
}

export type Approvals = ReturnType<typeof createApprovals>;

/**
 * Calls that wait for a person. The row decides, which is this very asking's: no worker has to be there, and a decision that
 * was taken is carried out, as the workflow finds out by itself when it is not told.
 */
export function createApprovals({ actions, approvals, ...deps }: ApprovalEngineDeps) {
  const { outcomes, reach } = deps;
  const { isThere } = createLiveness(deps);

  /** An approval of what nobody is there to do would be a promise that nothing keeps. */
  async function settleIfGone(tenant: string, actionId: string): Promise<void> {
    const action = await actions.find(tenant, actionId);
    if (action !== undefined) await isThere(tenant, action);
  }

  async function find(tenant: string, approvalId: string): Promise<Approval> {
    const approval = await approvals.find(tenant, approvalId);
    if (approval === undefined) throw new Refusal('approval_not_found');
    return approval;
  }

  return {
    /** A page of approvals, those that wait before the others, each the oldest first. */
    list: (tenant: string, filter: ApprovalFilter): Promise<ApprovalPage> => approvals.list(tenant, filter),

    /** @throws {Refusal} `approval_not_found`. */
    get: find,

    /**
     * Approves or denies a call that waits.
     *
     * @throws {Refusal} `approval_not_found`, `approval_decided`, `approval_superseded` (the tool is not the one that was shown).
     */
    async decide(
      tenant: string,
      approvalId: string,
      status: 'approved' | 'denied',
      { actor, claimedActor, reason }: { actor: string; claimedActor: string | null } & Pick<ApprovalRequest, 'reason'>,
    ): Promise<Approval> {
      const shown = await find(tenant, approvalId);
      if (shown.status === 'pending') await settleIfGone(tenant, shown.action_id);
      const verdict = { status, actor, claimedActor, reason: reason ?? null };
      const decided = await approvals.decide(tenant, approvalId, verdict);
      if (decided === undefined) throw new Refusal('approval_not_found');
      const { approval, made, settled, action } = decided;
      if (settled) outcomes.ended(action);
      if (made) void reach.nudge(action.workflowId);
      if (made && approval.status === 'superseded')
        throw new Refusal('approval_superseded', { status: approval.status });
      if (!made) throw new Refusal('approval_decided', { status: approval.status });
      return approval;
    },
  };
}
