import {
  allHandlersFinished,
  condition,
  continueAsNew,
  defineQuery,
  defineUpdate,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Changed, HeldLease, LeaseStanding, OpenedLease } from '../activities/lease.ts';
import type { ExtendAnswer, Lease, LeaseCall, LeaseInput, LeaseState } from '../src/contracts/lease.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { refusal } from './refusal.ts';
import { expireLease, extendLease, finishLease, openLease } from './steps.ts';

export const acquireUpdate = defineUpdate<Lease, [LeaseCall['acquire']?]>('acquire');
export const extendUpdate = defineUpdate<ExtendAnswer, [LeaseCall['extend']]>('extend');
export const completeUpdate = defineUpdate<LeaseState, [LeaseCall['complete']]>('complete');
export const failUpdate = defineUpdate<LeaseState, [LeaseCall['fail']]>('fail');
export const cancelUpdate = defineUpdate<LeaseState, [LeaseCall['cancel']]>('cancel');
export const leaseState = defineQuery<HeldLease | null>('state');

/** A run takes 2,000 updates at the most (Temporal's `history.maxTotalUpdates`); long leases go on in a new run before. */
const UPDATES_PER_RUN = 1_000;

type Ended = Exclude<LeaseStanding, { state: 'held' }>;

/**
 * A lease: open means held, and the timer is its time to live. The row in `leases` is the arbiter of every change;
 * this workflow brings the changes to it one after the other, and closes as the lease ends: Completed, or Failed with
 * type `failed`, `canceled` or `expired`. Where the key is held or finished already, it completes with what was found.
 */
export async function lease(input: LeaseInput): Promise<Lease | LeaseState> {
  const { firstExecutionRunId, continuedFromExecutionRunId } = workflowInfo();
  // Whoever started this may have sent anything at all: `openLease` looks at it.
  const { key, resume, ...named } = { ...input };
  const tenant = named.tenant ?? DEFAULT_TENANT;
  let opened: OpenedLease | undefined;
  let held: HeldLease | undefined;
  let deadline = 0;
  let granted = continuedFromExecutionRunId !== undefined && resume?.granted === true;
  let updates = 0;
  let ended: Ended | undefined;

  const hold = (lease: HeldLease) => {
    held = lease;
    deadline = Date.now() + lease.ttlLeftSeconds * 1000;
  };
  const look = async (leaseId: string) => {
    const standing = await expireLease({ tenant, key }, leaseId);
    if (standing.state === 'held') deadline = Date.now() + standing.secondsLeft * 1000;
    else ended ??= standing;
  };
  const finish = async (how: keyof typeof endStates, call: unknown): Promise<LeaseState> => {
    const answer = changed(await finishLease({ tenant, key }, how, call));
    ended = { state: endStates[how], answer };
    return answer;
  };

  setHandler(leaseState, () => held ?? null);
  setHandler(acquireUpdate, async (caller) => {
    updates += 1;
    // An end may have reached the row and not this history: a worker died in between.
    if (granted && held !== undefined) await look(held.leaseId);
    // A lease whose time has passed is being closed; its row decides, so the answer waits for that.
    await condition(() => opened !== undefined && (held === undefined || ended !== undefined || Date.now() < deadline));
    // The lease is over, this run is about to close: whoever asks again gets a new run.
    if (opened === undefined || ended !== undefined) throw refusal('lease_not_active');
    const { acquired, polled } = opened;
    if (held === undefined) return polled;
    // A lease without an owner is the first caller's. One with an owner is that owner's, whoever comes first: the caller
    // that started this run may have lost its connection. An application that names no caller is the one that started it.
    const isHolder = held.owner === null || caller === undefined ? !granted : held.owner === caller?.owner;
    granted = true;
    const { version } = held;
    return isHolder
      ? { ...acquired, version }
      : { ...polled, version, ttl_left: Math.max(0, Math.ceil((deadline - Date.now()) / 1000)) };
  });
  setHandler(extendUpdate, async (call) => {
    updates += 1;
    const version = (held?.version ?? 0) + 1;
    const { ttl, fence, ...extended } = changed(await extendLease({ tenant, key }, call, version));
    hold(extended);
    return { ok: true, status: 'extended', key, ttl, version: extended.version, fence };
  });
  setHandler(completeUpdate, (call) => finish('complete', call));
  setHandler(failUpdate, (call) => finish('fail', call));
  setHandler(cancelUpdate, (call) => finish('cancel', call));

  const opening = await openLease(input, firstExecutionRunId);
  if (opening.kind === 'invalid') throw refusal('validation_error', opening.message);
  opened = opening;
  if (opened.held !== undefined) hold(opened.held);

  while (held !== undefined && ended === undefined) {
    const waitUntil = deadline;
    await condition(
      () => ended !== undefined || deadline !== waitUntil || updates >= UPDATES_PER_RUN,
      Math.max(1, waitUntil - Date.now()),
    );
    if (ended === undefined && Date.now() >= deadline) {
      await look(held.leaseId);
    }
    if (ended === undefined && updates >= UPDATES_PER_RUN) {
      await condition(allHandlersFinished);
      if (ended === undefined) await continueAsNew<typeof lease>({ ...input, resume: { granted } });
    }
  }
  await condition(allHandlersFinished);
  return close(ended, opened);
}

/** A completed lease completes, any other end is the failure it is called by. */
function close(ended: Ended | undefined, opened: OpenedLease): Lease | LeaseState {
  if (ended === undefined) return opened.polled;
  if (ended.state === 'completed' && ended.answer !== undefined) return ended.answer;
  throw refusal(ended.state);
}

const endStates = { complete: 'completed', fail: 'failed', cancel: 'canceled' } as const;

function changed<T>(change: Changed<T>): T {
  if (change.kind === 'changed') return change.answer;
  if (change.kind === 'invalid') throw refusal('validation_error', change.message);
  throw refusal(`lease_${change.kind}`);
}
