import {
  allHandlersFinished,
  CancellationScope,
  condition,
  defineUpdate,
  isCancellation,
  setHandler,
} from '@temporalio/workflow';
import type { Waiting } from '../activities/approval.ts';
import type { ActionAnswer } from '../src/contracts/action.ts';
import type { Approval, ApprovalCall } from '../src/contracts/approval.ts';
import { APPROVAL_SECONDS } from '../src/domain/approval.ts';
import { refusal } from './refusal.ts';
import { abandonAction, decideApproval, expireApproval } from './steps.ts';

export const approveUpdate = defineUpdate<Approval, [ApprovalCall]>('approve');
export const denyUpdate = defineUpdate<Approval, [ApprovalCall]>('deny');

/** How the waiting ended: with a yes, or with what the caller is told instead of an outcome. */
export type Approved = { readonly kind: 'approved' } | { readonly kind: 'answer'; readonly answer: ActionAnswer };

/**
 * Waits for a person, a day at the most. The row of the approval is the arbiter; where it was decided and this workflow
 * did not hear of it, the clock finds out.
 */
export async function approvalOf(waiting: Waiting): Promise<Approved> {
  let outcome: Approved | undefined;
  const decide = (status: 'approved' | 'denied') => async (said: ApprovalCall) => {
    const decided = await decideApproval(waiting, status, said);
    if (decided.kind === 'refused') throw refusal(decided.code, decided.message);
    const { approval, answer, made } = decided;
    outcome ??= approval.status === 'approved' ? { kind: 'approved' } : { kind: 'answer', answer };
    if (!made) throw refusal('approval_decided');
    return approval;
  };
  setHandler(approveUpdate, decide('approved'));
  setHandler(denyUpdate, decide('denied'));
  const told = () => CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  try {
    await condition(() => outcome !== undefined, `${APPROVAL_SECONDS} seconds`);
  } catch (error) {
    if (!isCancellation(error)) throw error;
    const report = await CancellationScope.nonCancellable(() => abandonAction(waiting));
    await told();
    if (report.kind === 'settled') return { kind: 'answer', answer: report.answer };
  }
  await told();
  return outcome ?? (await CancellationScope.nonCancellable(() => expired(waiting)));
}

async function expired(waiting: Waiting): Promise<Approved> {
  const decided = await expireApproval(waiting);
  if (decided.kind === 'refused') throw refusal(decided.code);
  if (decided.approval.status === 'approved') return { kind: 'approved' };
  return { kind: 'answer', answer: decided.answer };
}
