import { allHandlersFinished, condition, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import type {
  Changed,
  EndedLease,
  HeldLease,
  Invalid,
  LeaseKey,
  LeaseStanding,
  NotThere,
  OpenedLease,
} from '../activities/lease.ts';
import type { ExtendAnswer, Lease, LeaseCall, LeaseState } from '../src/contracts/lease.ts';
import { whyUnreadable } from '../src/contracts/unreadable.ts';
import { refusal } from './refusal.ts';
import { rowChanged, startedInVain } from './status.ts';
import { extendLease, finishLease } from './steps.ts';

export const acquireUpdate = defineUpdate<Lease, [LeaseCall['acquire']?]>('acquire');
export const extendUpdate = defineUpdate<ExtendAnswer, [LeaseCall['extend']]>('extend');
export const completeUpdate = defineUpdate<LeaseState, [LeaseCall['complete']]>('complete');
export const failUpdate = defineUpdate<LeaseState, [LeaseCall['fail']]>('fail');
export const cancelUpdate = defineUpdate<LeaseState, [LeaseCall['cancel']]>('cancel');
export const leaseState = defineQuery<HeldLease | null>('state');

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
 * `leases` is the arbiter of every change, and may be changed past the workflow: it then looks there (`rowChanged`).
 */
export function holdLease({ tenant, key }: LeaseKey, { granted: alreadyGranted, look: lookAt }: HoldOptions) {
  let opened: OpenedLease | undefined;
  let held: HeldLease | undefined;
  let ended: EndedLease | undefined;
  let deadline = 0;
  let granted = alreadyGranted;
  let changed = false;
  let inVain = false;
  let updates = 0;

  const hold = (lease: HeldLease) => {
    held = lease;
    ended = undefined;
    deadline = Date.now() + lease.ttlLeftSeconds * 1000;
  };
  const look = async () => {
    if (held === undefined) return;
    changed = false;
    const standing = await lookAt({ tenant, key }, held.leaseId);
    if (standing.state !== 'held') ended ??= standing;
    // Another holder has it by now, whom this workflow minds as it did the one before.
    else if (standing.lease.leaseId !== held.leaseId) granted = true;
    if (standing.state === 'held') hold(standing.lease);
  };
  const finish = async (how: keyof typeof endStates, call: unknown): Promise<LeaseState> => {
    const answer = changedAs(await finishLease({ tenant, key }, how, call));
    ended = { state: endStates[how], answer };
    return answer;
  };

  setHandler(leaseState, () => held ?? null);
  setHandler(rowChanged, () => {
    changed = true;
  });
  setHandler(startedInVain, () => {
    inVain = true;
  });
  setHandler(acquireUpdate, async (caller) => {
    updates += 1;
    const unreadable = whyUnreadable(caller);
    if (unreadable !== undefined) throw refusal('validation_error', unreadable);
    // An end may have reached the row and not this history: it was made past us, or a worker died in between.
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
    const { leaseId, version, fence, firstSeenAt } = held;
    const now = { version, fence, first_seen_at: firstSeenAt };
    return isHolder
      ? { ...acquired, ...now, lease_id: leaseId }
      : { ...polled, ...now, ttl_left: Math.max(0, Math.ceil((deadline - Date.now()) / 1000)) };
  });
  setHandler(extendUpdate, async (call) => {
    updates += 1;
    const { ttl, ...extended } = changedAs(await extendLease({ tenant, key }, call));
    hold(extended);
    return { ok: true, status: 'extended', key, ttl, version: extended.version, fence: extended.fence };
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
    /** Whether the row was changed past this workflow since it last looked. */
    isChanged: () => changed,
    /** Whether nobody will write the row that it waits for. */
    isInVain: () => inVain,
    isLong: () => updates >= UPDATES_PER_RUN,
    /** Finds out how the lease stands by now. */
    look,
    /** Tells those who wait what came of the acquisition. */
    opened(opening: OpenedLease): void {
      opened = opening;
      granted ||= opening.granted;
      if (opening.held !== undefined) hold(opening.held);
      ended = opening.ended;
    },
    /** Resolves once everyone who asked has been answered. */
    settled: () => condition(allHandlersFinished),
  };
}

/** How often a row is looked for that its caller is about to write: between the looks is about a minute in all. */
const LOOKS_FOR_ROW = 6;

/**
 * Opens the lease; where whoever started the workflow writes the row itself (REST), waits for it, and ends where it does not
 * come.
 */
export async function openFor<T extends { readonly kind: 'opened' }>(
  hold: LeaseHold,
  open: () => Promise<T | Invalid | NotThere>,
): Promise<T> {
  for (let n = 0; ; n += 1) {
    const isLastLook = hold.isInVain() || n === LOOKS_FOR_ROW;
    const opening = await open();
    if (opening.kind === 'invalid') throw refusal(opening.code, opening.message);
    if (opening.kind === 'opened') return opening;
    if (isLastLook) throw refusal('not_begun');
    await condition(() => hold.isInVain(), `${2 ** n} seconds`);
  }
}

const endStates = { complete: 'completed', fail: 'failed', cancel: 'canceled' } as const;

function changedAs<T>(change: Changed<T>): T {
  if (change.kind === 'changed') return change.answer;
  if (change.kind === 'invalid') throw refusal('validation_error', change.message);
  throw refusal(`lease_${change.kind}`);
}
