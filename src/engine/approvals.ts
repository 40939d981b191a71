import { type Client, WorkflowUpdateFailedError } from '@temporalio/client';
import type { Approval, ApprovalCall, ApprovalRequest, ApprovalStatus } from '../contracts/approval.ts';
import { Refusal } from '../contracts/errors.ts';
import type { createActions } from '../store/actions.ts';
import type { createApprovals as createApprovalStore } from '../store/approvals.ts';
import { asUnavailable, isWorkflowNotFound } from './faults.ts';

const UPDATE_TIMEOUT_MS = 10_000;
const MAX_LISTED = 1_000;

const updates = { approved: 'approve', denied: 'deny' } as const;

export interface ApprovalEngineDeps {
  readonly client: Client;
  readonly actions: ReturnType<typeof createActions>;
  readonly approvals: ReturnType<typeof createApprovalStore>;
}

export type Approvals = ReturnType<typeof createApprovals>;

/** Calls that wait for a person: listed from their rows, decided by updates of their workflows. */
export function createApprovals({ client, actions, approvals }: ApprovalEngineDeps) {
  /** The workflow that waits, where there is one: an operator may have terminated it. */
  async function tell(workflowId: string, name: 'approve' | 'deny', call: ApprovalCall): Promise<Approval | undefined> {
    const handle = client.workflow.getHandle(workflowId);
    try {
      return await client.connection.withDeadline(Date.now() + UPDATE_TIMEOUT_MS, () =>
        handle.executeUpdate<Approval, [ApprovalCall]>(name, { args: [call] }),
      );
    } catch (error) {
      if (isWorkflowNotFound(error)) return undefined;
      // Decided already, on its way, or closed meanwhile: the row knows.
      if (error instanceof WorkflowUpdateFailedError) return undefined;
      throw asUnavailable(error);
    }
  }

  return {
    /** Approvals, the latest first, at most 1,000. */
    list: (tenant: string, status: ApprovalStatus | undefined): Promise<Approval[]> =>
      approvals.list(tenant, status, MAX_LISTED),

    /**
     * Approves or denies a call that waits.
     *
     * @throws {Refusal} `approval_not_found`, `approval_decided`, `unavailable`.
     */
    async decide(
      tenant: string,
      approvalId: string,
      status: keyof typeof updates,
      { actor, reason }: ApprovalRequest & { actor: string },
    ): Promise<Approval> {
      const approval = await approvals.find(tenant, approvalId);
      if (approval === undefined) throw new Refusal('approval_not_found');
      if (approval.status !== 'pending') throw new Refusal('approval_decided', { status: approval.status });
      const action = await actions.find(tenant, approval.action_id);
      const call = { actor, ...(reason !== undefined && { reason }) };
      const told = action && (await tell(action.workflowId, updates[status], call));
      if (told !== undefined) return told;
      // Nobody is there to make the call: the word is kept, and the next one under this key asks again.
      const decided = await approvals.decide(tenant, approval.action_id, { status, actor, reason: reason ?? null });
      if (decided === undefined) throw new Refusal('approval_not_found');
      if (!decided.made) throw new Refusal('approval_decided', { status: decided.approval.status });
      return decided.approval;
    },
  };
}
