import { allHandlersFinished, condition, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import type { Changed, HeldLease, LeaseKey, LeaseStanding, OpenedLease } from '../activities/lease.ts';
import type { ExtendAnswer, Lease, LeaseCall, LeaseState } from '../src/contracts/lease.ts';
import { refusal } from './refusal.ts';
import { extendLease, finishLease } from './steps.ts';

export const acquireUpdate = defineUpdate<Lease, [LeaseCall['acquire']?]>('acquire');
export const extendUpdate = defineUpdate<ExtendAnswer, [LeaseCall['extend']]>('extend');
export const completeUpdate = defineUpdate<LeaseState, [LeaseCall['complete']]>('complete');
export const failUpdate = defineUpdate<LeaseState, [LeaseCall['fail']]>('fail');
export const cancelUpdate = defineUpdate<LeaseState, [LeaseCall['cancel']]>('cancel');
export const leaseState = defineQuery<HeldLease | null>('state');

export type Ended = Exclude<LeaseStanding, { state: 'held' }>;

/** A run takes 2,000 updates at the most (Temporal's `history.maxTotalUpdates`); long leases go on in a new run before. */
const UPDATES_PER_RUN = 1_000;

export interface HoldOptions {
  /** Whether someone was told already that it holds the lease, in an earlier run of the workflow. */
  readonly granted: boolean;
  /** Reads how the lease stands, and closes or renews it if its time has passed. */
  readonly look: (lease: LeaseKey, leaseId: string) => Promise<LeaseStanding>;
}

export type LeaseHold = ReturnType<typeof holdLease>;

/**
 * The part of a workflow that holds a lease: it answers who asks for it, and takes what its holder changes. The row in
 * `leases` is the arbiter of every change; the workflow brings the changes to it one after the other.
 */
export function holdLease({ tenant, key }: LeaseKey, { granted: alreadyGranted, look: lookAt }: HoldOptions) {
  let opened: OpenedLease | undefined;
  let held: HeldLease | undefined;
  let ended: Ended | undefined;
  let deadline = 0;
  let granted = alreadyGranted;
  let updates = 0;

  const hold = (lease: HeldLease) => {
    held = lease;
    deadline = Date.now() + lease.ttlLeftSeconds * 1000;
  };
  const look = async () => {
    if (held === undefined) return;
    const standing = await lookAt({ tenant, key }, held.leaseId);
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
    if (granted) await look();
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

  return {
    /** The lease that was acquired; undefined where it was not to be had. */
    held: () => held,
    ended: () => ended,
    granted: () => granted,
    /** Unix milliseconds by the workflow's clock. */
    deadline: () => deadline,
    isLong: () => updates >= UPDATES_PER_RUN,
    /** Finds out how the lease stands by now. */
    look,
    /** Tells those who wait what came of the acquisition. */
    opened(opening: OpenedLease): void {
      opened = opening;
      if (opening.held !== undefined) hold(opening.held);
    },
    /** Resolves once everyone who asked has been answered. */
    settled: () => condition(allHandlersFinished),
  };
}

const endStates = { complete: 'completed', fail: 'failed', cancel: 'canceled' } as const;

function changed<T>(change: Changed<T>): T {
  if (change.kind === 'changed') return change.answer;
  if (change.kind === 'invalid') throw refusal('validation_error', change.message);
  throw refusal(`lease_${change.kind}`);
}
