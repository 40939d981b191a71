import { type Lease, type LeaseEnding, LeaseInput, type LeaseState, leaseCalls } from '../src/contracts/lease.ts';
import { acquiredLease, endedLease, type LeaseRecord, polledLease } from '../src/domain/lease.ts';
import { grantedTtl, selfHosted } from '../src/domain/plan.ts';
import type { createLeases, LeaseChange, Opened } from '../src/store/leases.ts';
import type { createUsage } from '../src/store/usage.ts';
import { parseInput } from './faults.ts';
import { type Findable, type FindableDeps, foundBy } from './found-by.ts';

/** What the lease workflow knows of the lease it stands for. */
export interface HeldLease {
  readonly leaseId: string;
  readonly owner: string | null;
  readonly version: number;
  readonly fence: number;
  readonly firstSeenAt: string;
  readonly ttlLeftSeconds: number;
}

export interface OpenedLease extends Findable {
  readonly kind: 'opened';
  /** What this workflow minds; absent where the key is not to be had: `polled` then says why. */
  readonly held: HeldLease | undefined;
  /** Whether somebody was told already that it holds the lease. */
  readonly granted: boolean;
  readonly acquired: Lease;
  readonly polled: Lease;
  /** How it has ended by then, where it has: this workflow minds no other. */
  readonly ended?: EndedLease;
}

export interface LeaseDeps extends FindableDeps {
  readonly leases: ReturnType<typeof createLeases>;
  readonly usage: ReturnType<typeof createUsage>;
}

/** An input or an argument that is not what the contract says. */
export interface Invalid {
  readonly kind: 'invalid';
  readonly code: 'validation_error' | 'not_begun';
  readonly message: string;
}

/** The row that the caller is about to write is not there yet. */
export interface NotThere {
  readonly kind: 'not_there';
}

/** The run of a workflow that minds a lease. */
export interface MindingRun {
  readonly runId: string;
  /** Unix milliseconds by Temporal's clock, as it was started. */
  readonly startedAt: number;
}

/** Why a lease cannot be changed, or how it now stands. */
export type Changed<T> =
  | { readonly kind: 'changed'; readonly answer: T }
  | Exclude<LeaseChange, { kind: 'changed' }>
  | Invalid;

export interface EndedLease {
  readonly state: LeaseEnding['state'] | 'expired';
  readonly answer?: LeaseState;
}

/** How long a lease still has, or how it ended. */
export type LeaseStanding = { readonly state: 'held'; readonly lease: HeldLease } | EndedLease;

/** The row of a lease, and whose care it is in. */
type WrittenRow = Extract<Opened, { lease: LeaseRecord }>;

/** The lease that a workflow stands for. */
export interface LeaseKey {
  readonly tenant: string;
  readonly key: string;
}

/** Its caller was told that it is not known whether this was accepted, before it was started. */
export const isTooLate = (
  { begin_before }: { begin_before?: number | undefined },
  { startedAt }: MindingRun,
): boolean => begin_before !== undefined && startedAt > begin_before;

export const invalid = (message: string): Invalid => ({ kind: 'invalid', code: 'validation_error', message });
export const notBegun: Invalid = { kind: 'invalid', code: 'not_begun', message: 'not_begun' };

/** The steps of the `lease` workflow. Each is idempotent under the run id or the lease id. */
export function createLeaseActivities({ leases, usage, knowsAttributes }: LeaseDeps) {
  /**
   * How the lease stands that this run minds, closed if its time has passed. A run that hears of its end minds no other lease
   * from then on.
   */
  async function lookAtLease({ tenant, key }: LeaseKey, runId: string): Promise<LeaseStanding> {
    const lease = await leases.look(tenant, key, runId);
    return standingOf(lease, lease?.leaseId ?? '');
  }

  /** Most leases have ended when their workflow first looks: it is told so in the same step. */
  async function asItStands(lease: LeaseKey, found: WrittenRow, run: MindingRun): Promise<OpenedLease> {
    const opened = openedLease(found, run, await usage.aiThisMonth(lease.tenant));
    if (opened.held === undefined || found.lease.state === 'held') return opened;
    const standing = await lookAtLease(lease, run.runId);
    return standing.state === 'held' ? { ...opened, held: standing.lease } : { ...opened, ended: standing };
  }

  return {
    lookAtLease,

    /**
     * Acquires the key in its row, or finds that it is held or finished. Where the caller writes the row itself, it only finds
     * what is there.
     */
    async openLease(input: unknown, run: MindingRun): Promise<OpenedLease | Invalid | NotThere> {
      const { data, error } = parseInput(LeaseInput, input);
      if (error !== undefined) return invalid(error);
      const { tenant, key } = data;
      if (data.by_row) {
        const found = await writtenRow(leases, data, run);
        return 'lease' in found ? await asItStands(data, found, run) : found;
      }
      if (isTooLate(data, run)) return notBegun;
      const opened = await leases.open({
        tenant,
        key,
        ttlSeconds: grantedTtl(data.ttl, selfHosted),
        owner: data.owner ?? null,
        metadata: data.metadata ?? null,
        retryFailed: data.retry_failed ?? false,
        actor: data.actor ?? null,
        workflowRunId: run.runId,
        acquisition: `workflow:${run.runId}`,
      });
      if (opened.kind === 'run_closed') return { kind: 'not_there' };
      const told = openedLease(opened, run, await usage.aiThisMonth(tenant));
      return { ...told, ...foundBy({ knowsAttributes }, input, { tenant }) };
    },

    /** Gives the holder more time; the answer is how long the lease now has. */
    async extendLease({ tenant, key }: LeaseKey, call: unknown): Promise<Changed<HeldLease & { ttl: number }>> {
      const { data, error } = parseInput(leaseCalls.extend, { ...Object(call), key });
      if (error !== undefined) return invalid(error);
      const ttl = data.ttl === undefined ? null : grantedTtl(data.ttl, selfHosted);
      const change = await leases.extend(tenant, handleOf(data), ttl);
      if (change.kind !== 'changed') return change;
      const { lease } = change;
      return { kind: 'changed', answer: { ...heldOf(lease), ttl: lease.ttlSeconds } };
    },

    /** Ends the lease as its holder says. */
    async finishLease(
      { tenant, key }: LeaseKey,
      how: keyof typeof endings,
      call: unknown,
    ): Promise<Changed<LeaseState>> {
      const { data, error } = parseInput(endings[how], { ...Object(call), key });
      if (error !== undefined) return invalid(error);
      const { held, ending } = data;
      const change = await leases.finish(tenant, held, ending);
      return change.kind === 'changed' ? { kind: 'changed', answer: endedLease(change.lease) } : change;
    },
  };
}

/**
 * The row that whoever started the workflow has written for it, or found taken by another: then there is nothing to mind. Not
 * there while the row speaks of an earlier lease.
 */
export async function writtenRow(
  leases: LeaseDeps['leases'],
  input: { readonly tenant: string; readonly key: string; readonly begin_before?: number | undefined },
  run: MindingRun,
): Promise<WrittenRow | NotThere | Invalid> {
  const found = await leases.findMinded(input.tenant, input.key);
  const isOurs = found?.workflowRunId === run.runId;
  if (found !== undefined && (isOurs || found.lease.state === 'held'))
    return { kind: 'taken', lease: found.lease, mindedBy: found.workflowRunId };
  return isTooLate(input, run) ? notBegun : { kind: 'not_there' };
}

/** What a workflow is told of the lease it asked for, or that another has written into its care. */
export function openedLease(
  opened: Exclude<Opened, { kind: 'run_closed' }>,
  { runId }: MindingRun,
  usage: number,
): OpenedLease {
  const count = { usage, limit: null };
  const { kind, lease, mindedBy } = opened;
  return {
    kind: 'opened',
    held: kind === 'acquired' || mindedBy === runId ? heldOf(lease) : undefined,
    granted: kind === 'taken',
    acquired: acquiredLease(lease, { ...count, charged: 1 }),
    polled: polledLease(lease, { ...count, charged: 0 }),
  };
}

/** How a lease stands, for the one who held it under `leaseId`. */
export function standingOf(lease: LeaseRecord | undefined, leaseId: string): LeaseStanding {
  if (lease === undefined || lease.leaseId !== leaseId) return { state: 'expired' };
  if (lease.state === 'held') return { state: 'held', lease: heldOf(lease) };
  return { state: lease.state, answer: endedLease(lease) };
}

const handleOf = ({ key, lease_id, actor }: { key: string; lease_id: string; actor?: string | undefined }) => ({
  key,
  leaseId: lease_id,
  actor: actor ?? null,
});

/** What each way to end a lease says of its end. */
const endings = {
  complete: leaseCalls.complete.transform(({ result = null, result_hash: resultHash = null, ...call }) => ({
    held: handleOf(call),
    ending: { state: 'completed', result, resultHash } as LeaseEnding,
  })),
  fail: leaseCalls.fail.transform(({ error_code: errorCode, error_hash: errorHash = null, ...call }) => ({
    held: handleOf(call),
    ending: { state: 'failed', errorCode, errorHash } as LeaseEnding,
  })),
  cancel: leaseCalls.cancel.transform(({ reason = null, ...call }) => ({
    held: handleOf(call),
    ending: { state: 'canceled', reason } as LeaseEnding,
  })),
};

const heldOf = (lease: LeaseRecord): HeldLease => ({
  leaseId: lease.leaseId,
  owner: lease.owner,
  version: lease.version,
  fence: lease.fence,
  firstSeenAt: lease.firstSeenAt,
  // A second at least: what has just run out is looked at again, not looked at for ever.
  ttlLeftSeconds: lease.state === 'held' ? Math.max(1, lease.ttlLeftSeconds) : 0,
});
