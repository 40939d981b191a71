import { condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { EndedLease, OpenedLease } from '../activities/lease.ts';
import type { Lease, LeaseInput, LeaseState } from '../src/contracts/lease.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { holdLease, openFor } from './lease-hold.ts';
import { refusal } from './refusal.ts';
import { makeFindable } from './status.ts';
import { lookAtLease, openLease } from './steps.ts';

/**
 * A lease: open means held, and the timer is its time to live. It closes as the lease ends: Completed, or Failed with
 * type `failed`, `canceled` or `expired`. Where the key is held or finished already, it completes with what was found.
 */
export async function lease(input: LeaseInput): Promise<Lease | LeaseState> {
  const { firstExecutionRunId: runId, continuedFromExecutionRunId, startTime } = workflowInfo();
  // Whoever started this may have sent anything at all: `openLease` looks at it.
  const { key, resume, ...named } = { ...input };
  const tenant = named.tenant ?? DEFAULT_TENANT;
  const granted = continuedFromExecutionRunId !== undefined && resume?.granted === true;
  const hold = holdLease({ tenant, key }, { granted, look: (lease) => lookAtLease(lease, runId) });

  const opening = await openFor(hold, () => openLease(input, { runId, startedAt: startTime.getTime() }));
  makeFindable(opening);
  hold.opened(opening);

  while (hold.held() !== undefined && opening.ended === undefined) {
    const waitUntil = hold.deadline();
    await condition(
      () => hold.ended() !== undefined || hold.deadline() !== waitUntil || hold.isChanged() || hold.isLong(),
      Math.max(1, waitUntil - Date.now()),
    );
    await hold.settled();
    const isDue = hold.ended() !== undefined || hold.isChanged() || Date.now() >= hold.deadline();
    if (isDue) await hold.look();
    // Its row says so too, from that look on: no other lease is given into the care of this run.
    if (hold.ended() !== undefined && !hold.isChanged()) break;
    if (hold.isLong() || workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof lease>({ ...input, resume: { granted: hold.granted() } });
    }
  }
  await hold.settled();
  return close(hold.ended(), opening);
}

/** A completed lease completes, any other end is the failure it is called by. */
function close(ended: EndedLease | undefined, opened: OpenedLease): Lease | LeaseState {
  if (ended === undefined) return opened.polled;
  if (ended.state === 'completed' && ended.answer !== undefined) return ended.answer;
  throw refusal(ended.state);
}
