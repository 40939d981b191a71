import type { JsonObject } from '../contracts/common.ts';
import type { Lease, LeaseResult, LeaseState } from '../contracts/lease.ts';

/** How long a finished lease stays readable and final. */
export const LEASE_MEMORY_DAYS = 7;

/** A waiting client is asked to come back after at most this long; a run is mostly quicker than other work. */
const MAX_POLL_SECONDS = 5;
const MAX_RUN_POLL_SECONDS = 1;

/**
 * A lease as its row says it is. `expired` also covers a lease whose time has passed while nobody was there to close it:
 * the row's clock decides, not the worker.
 */
export interface LeaseRecord {
  readonly key: string;
  readonly fence: number;
  readonly state: 'held' | 'completed' | 'failed' | 'canceled' | 'expired';
  readonly leaseId: string;
  readonly owner: string | null;
  /** The agent it is of, by what its acquisition said; null: none was named. */
  readonly agentId: string | null;
  /** Whether it is that of a run: an `agentRun` workflow holds it, renews it and ends it. */
  readonly ofRun: boolean;
  readonly version: number;
  readonly ttlSeconds: number;
  /** Whole seconds until it runs out, by the database's clock; 0 once it is over. */
  readonly ttlLeftSeconds: number;
  readonly firstSeenAt: string;
  readonly doneAt: string | null;
  readonly result: JsonObject | null;
  readonly resultHash: string | null;
  readonly errorCode: string | null;
  /** Whether it still counts: open, or finished within the last {@link LEASE_MEMORY_DAYS} days. */
  readonly remembered: boolean;
  /** The fence with which the undertaking began that a run may be going on with. */
  readonly begunFence: number;
}

/** `completed` and `failed` are what waiting clients stop on; a lease that ran out or was canceled reads `failed` too. */
export function endOf(lease: LeaseRecord): 'completed' | 'failed' | undefined {
  if (lease.state === 'held') return undefined;
  return lease.state === 'completed' ? 'completed' : 'failed';
}

/** Whether a new acquisition has to be refused: the lease is held, or its outcome is final. */
export function blocksAcquisition(lease: LeaseRecord, retryFailed: boolean): boolean {
  if (lease.state === 'held') return true;
  if (!lease.remembered) return false;
  return lease.state === 'completed' || (lease.state === 'failed' && !retryFailed);
}

const errorCodeOf = (lease: LeaseRecord): string | null =>
  lease.state === 'canceled' || lease.state === 'expired' ? lease.state : lease.errorCode;

const pollSeconds = ({ ofRun, ttlLeftSeconds }: LeaseRecord): number =>
  Math.max(1, Math.min(ofRun ? MAX_RUN_POLL_SECONDS : MAX_POLL_SECONDS, ttlLeftSeconds));

/** What a reader sees. The holder's `lease_id` is its secret and is never part of it. */
export function stateOf(lease: LeaseRecord): LeaseState {
  const end = endOf(lease);
  return {
    ok: end !== 'failed',
    status: end ?? 'in_progress',
    key: lease.key,
    ttl_left: end === undefined ? lease.ttlLeftSeconds : null,
    lease_id: null,
    version: lease.version,
    fence: lease.fence,
    first_seen_at: lease.firstSeenAt,
    done_at: lease.doneAt,
    result_hash: lease.resultHash,
    error_code: errorCodeOf(lease),
    retry_after_sec: end === undefined ? pollSeconds(lease) : null,
  };
}

export interface Charge {
  /** What counts against the plan this month: leases acquired, this one included, and calls executed. */
  readonly usage: number;
  readonly limit: number | null;
  readonly charged: 0 | 1;
}

/** What one who asked for the lease and did not get it sees. */
export function polledLease(lease: LeaseRecord, charge: Charge): Lease {
  const state = stateOf(lease);
  const status = state.status === 'in_progress' ? 'polling' : state.status;
  return { ...state, status, ttl: lease.ttlSeconds, ...charge };
}

/** What the holder sees. */
export const acquiredLease = (lease: LeaseRecord, charge: Charge): Lease => ({
  ...stateOf(lease),
  status: 'acquired',
  ttl_left: null,
  retry_after_sec: null,
  lease_id: lease.leaseId,
  ttl: lease.ttlSeconds,
  ...charge,
});

/** What the holder sees when it ends its lease: the call itself went well, whatever it reported. */
export const endedLease = (lease: LeaseRecord): LeaseState => ({
  ...stateOf(lease),
  ok: true,
  lease_id: lease.leaseId,
});

export const resultOf = (lease: LeaseRecord): LeaseResult => {
  const { ok, status, key, result_hash, error_code, done_at } = stateOf(lease);
  return { ok, status, key, result: lease.result, result_hash, error_code, done_at };
};
