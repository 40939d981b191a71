import type { Lease, LeaseEnding, LeaseInput, LeaseState } from '../src/contracts/lease.ts';
import { acquiredLease, endedLease, type LeaseRecord, polledLease } from '../src/domain/lease.ts';
import type { createLeases, LeaseChange } from '../src/store/leases.ts';
import type { createUsage } from '../src/store/usage.ts';

/** What the lease workflow knows of the lease it stands for. */
export interface HeldLease {
  readonly leaseId: string;
  readonly owner: string | null;
  readonly version: number;
  readonly ttlLeftSeconds: number;
}

export interface OpenedLease {
  /** Absent where the key is not to be had: `polled` then says why. */
  readonly held: HeldLease | undefined;
  readonly acquired: Lease;
  readonly polled: Lease;
}

export interface LeaseDeps {
  readonly leases: ReturnType<typeof createLeases>;
  readonly usage: ReturnType<typeof createUsage>;
}

/** Why a lease cannot be changed, or how it now stands. */
export type Changed<T> = { readonly kind: 'changed'; readonly answer: T } | Exclude<LeaseChange, { kind: 'changed' }>;

/** The steps of the `lease` workflow. Each is idempotent under the run id or the lease id. */
export const createLeaseActivities = ({ leases, usage }: LeaseDeps) => ({
  /** Acquires the key in its row, or finds that it is held or finished. */
  async openLease(input: LeaseInput, workflowRunId: string): Promise<OpenedLease> {
    const opened = await leases.open({
      tenant: input.tenant,
      key: input.key,
      ttlSeconds: input.ttl,
      owner: input.owner ?? null,
      metadata: input.metadata ?? null,
      retryFailed: input.retry_failed ?? false,
      actor: input.actor ?? null,
      workflowRunId,
    });
    const count = { usage: await usage.aiThisMonth(input.tenant), limit: null };
    return {
      held: opened.kind === 'acquired' ? heldOf(opened.lease) : undefined,
      acquired: acquiredLease(opened.lease, { ...count, charged: 1 }),
      polled: polledLease(opened.lease, { ...count, charged: 0 }),
    };
  },

  /** Gives the holder more time; the answer is how long the lease now has. */
  async extendLease(
    tenant: string,
    held: LeaseHandle,
    ttl: number | null,
    version: number,
  ): Promise<Changed<HeldLease & { ttl: number; fence: number }>> {
    const change = await leases.extend(tenant, handleOf(held), ttl, version);
    if (change.kind !== 'changed') return change;
    const { lease } = change;
    return { kind: 'changed', answer: { ...heldOf(lease), ttl: lease.ttlSeconds, fence: lease.fence } };
  },

  /** Ends the lease as its holder says. */
  async finishLease(tenant: string, held: LeaseHandle, ending: LeaseEnding): Promise<Changed<LeaseState>> {
    const change = await leases.finish(tenant, handleOf(held), ending);
    return change.kind === 'changed' ? { kind: 'changed', answer: endedLease(change.lease) } : change;
  },

  /** Ends the lease if its time has passed; seconds it still has otherwise. */
  async expireLease(tenant: string, key: string, leaseId: string): Promise<number> {
    const lease = await leases.expire(tenant, key, leaseId);
    return lease?.state === 'held' && lease.leaseId === leaseId ? Math.max(1, lease.ttlLeftSeconds) : 0;
  },
});

export interface LeaseHandle {
  readonly key: string;
  readonly leaseId: string;
  readonly actor?: string;
}

const handleOf = ({ actor, ...held }: LeaseHandle) => ({ ...held, actor: actor ?? null });

const heldOf = (lease: LeaseRecord): HeldLease => ({
  leaseId: lease.leaseId,
  owner: lease.owner,
  version: lease.version,
  ttlLeftSeconds: lease.ttlLeftSeconds,
});
