import { type Lease, type LeaseEnding, LeaseInput, type LeaseState, leaseCalls } from '../src/contracts/lease.ts';
import { acquiredLease, endedLease, type LeaseRecord, polledLease } from '../src/domain/lease.ts';
import { grantedTtl, selfHosted } from '../src/domain/plan.ts';
import type { createLeases, LeaseChange, Opened } from '../src/store/leases.ts';
import type { createUsage } from '../src/store/usage.ts';
import { faultsOf } from './faults.ts';

/** What the lease workflow knows of the lease it stands for. */
export interface HeldLease {
  readonly leaseId: string;
  readonly owner: string | null;
  readonly version: number;
  readonly ttlLeftSeconds: number;
}

export interface OpenedLease {
  readonly kind: 'opened';
  /** Absent where the key is not to be had: `polled` then says why. */
  readonly held: HeldLease | undefined;
  readonly acquired: Lease;
  readonly polled: Lease;
}

export interface LeaseDeps {
  readonly leases: ReturnType<typeof createLeases>;
  readonly usage: ReturnType<typeof createUsage>;
}

/** An input or an argument that is not what the contract says. */
export interface Invalid {
  readonly kind: 'invalid';
  readonly message: string;
}

/** Why a lease cannot be changed, or how it now stands. */
export type Changed<T> =
  | { readonly kind: 'changed'; readonly answer: T }
  | Exclude<LeaseChange, { kind: 'changed' }>
  | Invalid;

/** How long a lease still has, or how it ended. */
export type LeaseStanding =
  | { readonly state: 'held'; readonly secondsLeft: number }
  | { readonly state: LeaseEnding['state'] | 'expired'; readonly answer?: LeaseState };

/** The lease that a workflow stands for. */
export interface LeaseKey {
  readonly tenant: string;
  readonly key: string;
}

/** The steps of the `lease` workflow. Each is idempotent under the run id or the lease id. */
export const createLeaseActivities = ({ leases, usage }: LeaseDeps) => ({
  /** Acquires the key in its row, or finds that it is held or finished. */
  async openLease(input: unknown, workflowRunId: string): Promise<OpenedLease | Invalid> {
    const { data, error } = LeaseInput.safeParse(input);
    if (error !== undefined) return { kind: 'invalid', message: faultsOf(error) };
    const opened = await leases.open({
      tenant: data.tenant,
      key: data.key,
      ttlSeconds: grantedTtl(data.ttl, selfHosted),
      owner: data.owner ?? null,
      metadata: data.metadata ?? null,
      retryFailed: data.retry_failed ?? false,
      actor: data.actor ?? null,
      workflowRunId,
    });
    return openedLease(opened, await usage.aiThisMonth(data.tenant));
  },

  /** Gives the holder more time; the answer is how long the lease now has. */
  async extendLease(
    { tenant, key }: LeaseKey,
    call: unknown,
    version: number,
  ): Promise<Changed<HeldLease & { ttl: number; fence: number }>> {
    const { data, error } = leaseCalls.extend.safeParse({ ...Object(call), key });
    if (error !== undefined) return { kind: 'invalid', message: faultsOf(error) };
    const ttl = data.ttl === undefined ? null : grantedTtl(data.ttl, selfHosted);
    const change = await leases.extend(tenant, handleOf(data), ttl, version);
    if (change.kind !== 'changed') return change;
    const { lease } = change;
    return { kind: 'changed', answer: { ...heldOf(lease), ttl: lease.ttlSeconds, fence: lease.fence } };
  },

  /** Ends the lease as its holder says. */
  async finishLease({ tenant, key }: LeaseKey, how: keyof typeof endings, call: unknown): Promise<Changed<LeaseState>> {
    const { data, error } = endings[how].safeParse({ ...Object(call), key });
    if (error !== undefined) return { kind: 'invalid', message: faultsOf(error) };
    const { held, ending } = data;
    const change = await leases.finish(tenant, held, ending);
    return change.kind === 'changed' ? { kind: 'changed', answer: endedLease(change.lease) } : change;
  },

  /** Ends the lease if its time has passed, and says how it stands. */
  async expireLease({ tenant, key }: LeaseKey, leaseId: string): Promise<LeaseStanding> {
    return standingOf(await leases.expire(tenant, key, leaseId), leaseId);
  },
});

/** What a workflow is told of the lease it asked for. */
export function openedLease(opened: Opened, usage: number): OpenedLease {
  const count = { usage, limit: null };
  return {
    kind: 'opened',
    held: opened.kind === 'acquired' ? heldOf(opened.lease) : undefined,
    acquired: acquiredLease(opened.lease, { ...count, charged: 1 }),
    polled: polledLease(opened.lease, { ...count, charged: 0 }),
  };
}

/** How a lease stands, for the one who held it under `leaseId`. */
export function standingOf(lease: LeaseRecord | undefined, leaseId: string): LeaseStanding {
  if (lease === undefined || lease.leaseId !== leaseId) return { state: 'expired' };
  if (lease.state === 'held') return { state: 'held', secondsLeft: Math.max(1, lease.ttlLeftSeconds) };
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
  ttlLeftSeconds: lease.ttlLeftSeconds,
});
