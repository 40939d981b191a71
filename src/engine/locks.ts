import { createHash, randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { KnownLock, LockCache } from '../cache/lock-cache.ts';
import type { CheckLockAnswer, CheckLockInput, CheckLockRequest } from '../contracts/check-lock.ts';
import { Refusal } from '../contracts/errors.ts';
import { grantedTtl, type Plan } from '../domain/plan.ts';
import { lockWorkflowId } from '../domain/workflow-id.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Recorder } from '../store/recorder.ts';
import { isWorkflowNotFound } from './faults.ts';
import { read } from './rpc.ts';
import { momentOfRun } from './run-id.ts';
import type { Starter } from './start.ts';

/** The first workflow task is due long after the lock has timed out: no worker ever sees a lock. */
const START_DELAY_BEYOND_TTL_SECONDS = 3_600;
/** A cached lock is forgotten this long before the lock ends, so that it can never outlive it. */
const CACHE_MARGIN_MS = 50;
const OWNER_MEMO = 'owner';

export interface LockDeps {
  readonly start: Starter;
  readonly client: Client;
  readonly cache: LockCache;
  readonly recorder: Recorder;
  readonly metrics: Pick<Metrics, 'checked'>;
}

export interface LockAsked extends CheckLockRequest {
  readonly tenant: string;
  readonly actor: string;
  readonly plan: Plan;
}

/** Whether the caller has the lock, and what the lock is. */
interface Held {
  readonly mine: boolean;
  readonly lock: KnownLock;
  /** The run this very request has started. */
  readonly startedRun?: string;
  /** Before it was started, by `performance.now`. */
  readonly askedAt?: number;
}

const hashOf = (owner: string | undefined): string | undefined =>
  owner === undefined ? undefined : createHash('sha256').update(owner).digest('base64url');

export type Locks = ReturnType<typeof createLocks>;

/** Check-lock: an open `checkLock` workflow is the lock, and the server itself closes it at its time to live. */
export function createLocks({ start, client, cache, recorder, metrics }: LockDeps) {
  async function take(input: CheckLockInput): Promise<Held> {
    const { tenant, key, ttl } = input;
    const workflowId = lockWorkflowId(tenant, key);
    const owner = hashOf(input.owner);
    const askedAt = performance.now();
    const { started, runId } = await start({
      type: 'checkLock',
      tenant,
      workflowId,
      input,
      requestId: randomUUID(),
      executionTimeoutSeconds: ttl,
      startDelaySeconds: ttl + START_DELAY_BEYOND_TTL_SECONDS,
      ...(owner && { memo: { [OWNER_MEMO]: owner } }),
    });
    const startedAt = momentOfRun(runId);
    if (!started) {
      // Only a named owner can have the lock already; for anyone else the run id tells all there is to know.
      const described =
        owner !== undefined || startedAt === undefined ? await describe(client, workflowId, runId) : undefined;
      const firstSeenAt = startedAt ?? described?.startedAt ?? new Date().toISOString();
      return { mine: owner !== undefined && described?.owner === owner, lock: { firstSeenAt, ttl } };
    }
    const lock: KnownLock = { firstSeenAt: startedAt ?? new Date().toISOString(), ttl, ...(owner && { owner }) };
    return { mine: true, lock, startedRun: runId, askedAt };
  }

  /**
   * Nothing was promised to anybody yet, so a lock whose audit line could not be written is given back. One that has an
   * owner stays: a repeat by that owner may have been told that it has it, in the same moment, and gets it at any other.
   * Says whether nothing is left of the lock.
   */
  async function giveBack({ tenant, key, owner }: LockAsked, runId: string): Promise<boolean> {
    if (owner !== undefined) return false;
    const handle = client.workflow.getHandle(lockWorkflowId(tenant, key), runId);
    return await read(client, () => handle.terminate('its audit line could not be written')).then(
      () => true,
      (error: unknown) => isWorkflowNotFound(error),
    );
  }

  async function note(asked: LockAsked, { mine, startedRun }: Held): Promise<void> {
    const { tenant, key, metadata, actor } = asked;
    const entry = { tenant, type: mine ? 'locked' : 'duplicate', actor, key };
    try {
      if (startedRun === undefined) return await recorder.record(entry, mine ? 'locks_repeated' : 'duplicates');
      await recorder.record({ ...entry, ...(metadata && { detail: { metadata } }) }, 'locks_created');
    } catch (error) {
      if (startedRun === undefined) throw error;
      const isGone = await giveBack(asked, startedRun);
      throw new Refusal(isGone ? 'unavailable' : 'outcome_unknown', {}, error);
    }
  }

  return {
    /**
     * Takes the key for its time to live, or says that it is taken. Counted and audited before it answers.
     *
     * @throws {Refusal} `unavailable`: the key was not taken; `outcome_unknown`: a repeat by the same owner gets it, if it was.
     */
    async check(asked: LockAsked): Promise<CheckLockAnswer> {
      const ttl = grantedTtl(asked.ttl, asked.plan);
      const known = await cache.find(asked.tenant, asked.key);
      const held = known === undefined ? await take(inputOf(asked, ttl)) : heldAs(known, asked.owner);
      await note(asked, held);
      const { mine, lock, askedAt } = held;
      // Behind the line, so that no lock that is given back is remembered. Counted from before the start: it cannot have begun
      // earlier.
      const left = askedAt === undefined ? 0 : lock.ttl * 1000 - (performance.now() - askedAt) - CACHE_MARGIN_MS;
      await cache.keep(asked.tenant, asked.key, lock, Math.floor(left));
      const status = mine ? 'locked' : 'duplicate';
      metrics.checked(status);
      return {
        success: mine,
        status,
        key: asked.key,
        ttl: mine ? lock.ttl : ttl,
        first_seen_at: mine ? null : lock.firstSeenAt,
      };
    },
  };
}

const inputOf = ({ tenant, key, owner, metadata }: LockAsked, ttl: number): CheckLockInput => ({
  tenant,
  key,
  ttl,
  ...(owner !== undefined && { owner }),
  ...(metadata !== undefined && { metadata }),
});

const heldAs = (lock: KnownLock, owner: string | undefined): Held => ({
  mine: lock.owner !== undefined && lock.owner === hashOf(owner),
  lock,
});

/** What the server knows of a lock: when it was taken, and by whom. */
async function describe(
  client: Client,
  workflowId: string,
  runId: string,
): Promise<{ startedAt: string; owner: unknown }> {
  const { startTime, memo } = await read(client, () => client.workflow.getHandle(workflowId, runId).describe());
  return { startedAt: startTime.toISOString(), owner: memo?.[OWNER_MEMO] };
}
