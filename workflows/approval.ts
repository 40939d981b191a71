import { CancellationScope, condition, defineUpdate, isCancellation, setHandler, sleep } from '@temporalio/workflow';
import type { Approval, ApprovalCall } from '../src/contracts/approval.ts';
import type { Course } from './course.ts';
import { refusal } from './refusal.ts';
import { abandonAction, approvalStanding, decideApproval, expireApproval } from './steps.ts';

export const approveUpdate = defineUpdate<Approval, [ApprovalCall]>('approve');
export const denyUpdate = defineUpdate<Approval, [ApprovalCall]>('deny');

/** How long a waiting action goes without a look at its row, where nobody says that it has changed. */
const LOOK_EVERY_SECONDS = 6 * 3600;

/** Takes decisions as updates: the row decides, and the action finds out by its row, as of any other decision. */
export function takeApprovals(course: Course): void {
  const decide = (status: 'approved' | 'denied') => async (said: ApprovalCall) => {
    const decided = await decideApproval(course.underway, status, said);
    if (decided.kind === 'refused') throw refusal(decided.code, decided.message);
    course.changed = true;
    course.answering = true;
    if (decided.approval.status === 'superseded') throw refusal('approval_superseded');
    if (!decided.made) throw refusal('approval_decided');
    return decided.approval;
  };
  setHandler(approveUpdate, decide('approved'));
  setHandler(denyUpdate, decide('denied'));
}

/**
 * Waits until a person has decided, nobody can any more, or the workflow is canceled. What then stands is in the row: the
 * action is ruled on again.
 */
export async function waitForPerson(course: Course): Promise<void> {
  try {
    for (;;) {
      course.changed = false;
      const { secondsLeft } = await CancellationScope.nonCancellable(() => approvalStanding(course.underway));
      if (secondsLeft === 0) break;
      await condition(() => course.changed, `${Math.min(secondsLeft, LOOK_EVERY_SECONDS)} seconds`);
    }
    // Whoever decided by an update has their answer before anything is done about it: that is another task.
    if (course.answering) await sleep(1);
    course.answering = false;
    await CancellationScope.nonCancellable(() => expireApproval(course.underway));
  } catch (error) {
    if (!isCancellation(error)) throw error;
    await CancellationScope.nonCancellable(() => abandonAction(course.underway));
  }
}
