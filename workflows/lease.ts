import { condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { OpenedLease } from '../activities/lease.ts';
import type { Lease, LeaseInput, LeaseState } from '../src/contracts/lease.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { type Ended, holdLease } from './lease-hold.ts';
import { refusal } from './refusal.ts';
import { expireLease, openLease } from './steps.ts';

/**
 * A lease: open means held, and the timer is its time to live. It closes as the lease ends: Completed, or Failed with
 * type `failed`, `canceled` or `expired`. Where the key is held or finished already, it completes with what was found.
 */
export async function lease(input: LeaseInput): Promise<Lease | LeaseState> {
  const { firstExecutionRunId, continuedFromExecutionRunId } = workflowInfo();
  // Whoever started this may have sent anything at all: `openLease` looks at it.
  const { key, resume, ...named } = { ...input };
  const tenant = named.tenant ?? DEFAULT_TENANT;
  const granted = continuedFromExecutionRunId !== undefined && resume?.granted === true;
  const hold = holdLease({ tenant, key }, { granted, look: expireLease });

  const opening = await openLease(input, firstExecutionRunId);
  if (opening.kind === 'invalid') throw refusal('validation_error', opening.message);
  hold.opened(opening);

  while (hold.held() !== undefined && hold.ended() === undefined) {
    const waitUntil = hold.deadline();
    await condition(
      () => hold.ended() !== undefined || hold.deadline() !== waitUntil || hold.isLong(),
      Math.max(1, waitUntil - Date.now()),
    );
    if (hold.ended() === undefined && Date.now() >= hold.deadline()) await hold.look();
    if (hold.ended() === undefined && hold.isLong()) {
      await hold.settled();
      if (hold.ended() === undefined)
        await continueAsNew<typeof lease>({ ...input, resume: { granted: hold.granted() } });
    }
  }
  await hold.settled();
  return close(hold.ended(), opening);
}

/** A completed lease completes, any other end is the failure it is called by. */
function close(ended: Ended | undefined, opened: OpenedLease): Lease | LeaseState {
  if (ended === undefined) return opened.polled;
  if (ended.state === 'completed' && ended.answer !== undefined) return ended.answer;
  throw refusal(ended.state);
}
