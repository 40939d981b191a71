import { createHash, randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { AgentRunInput, AgentRunRequest } from '../contracts/agent-run.ts';
import { Refusal } from '../contracts/errors.ts';
import type {
  CancelRequest,
  CompleteRequest,
  ExtendAnswer,
  ExtendRequest,
  FailRequest,
  Lease,
  LeaseEnding,
  LeaseInput,
  LeaseRequest,
  LeaseResult,
  LeaseState,
} from '../contracts/lease.ts';
import { type Agents, speaksFor } from '../domain/agents.ts';
import {
  acquiredLease,
  blocksAcquisition,
  endedLease,
  type LeaseRecord,
  polledLease,
  resultOf,
  stateOf,
} from '../domain/lease.ts';
import { grantedTtl, type Plan } from '../domain/plan.ts';
import { leaseWorkflowId, runWorkflowId } from '../domain/workflow-id.ts';
import { isDatabaseAnswerLost } from '../store/database.ts';
import type { Acquisition, createLeases as createLeaseStore, LeaseChange, Opened } from '../store/leases.ts';
import type { Recorder } from '../store/recorder.ts';
import type { createUsage } from '../store/usage.ts';
import { unknownIfAway } from './faults.ts';
import type { Reach } from './reach.ts';
import type { Starter } from './start.ts';

/** A workflow that is just closing is followed by another, and one that was just started by its row: this long it is waited for. */
const ACQUISITION_PATIENCE_MS = 4_000;
const LONGEST_PAUSE_MS = 500;
/** A lease that is polled is held against its workflow once in this time: an operator may have terminated it. */
const VERIFY_EVERY_MS = 15_000;
const ASK_AGAIN_MS = 2_000;
const MAX_VERIFIED = 10_000;
/** What a lease's workflow is told apart by while it has no row: that REST is to write it, and for whom. */
const BY_ROW_MEMO = 'by_row';
const OWNER_MEMO = 'owner';
const hashOf = (owner: string): string => createHash('sha256').update(owner).digest('base64url');
/** By then the caller has written the lease's row, and the workflow finds it at its first look. */
const FIRST_LOOK_SECONDS = 1;

export interface LeaseEngineDeps {
  readonly start: Starter;
  readonly reach: Reach;
  readonly leases: ReturnType<typeof createLeaseStore>;
  readonly usage: ReturnType<typeof createUsage>;
  readonly recorder: Recorder;
}

export interface Caller {
  readonly tenant: string;
  readonly actor: string;
  /** Whose leases it has a say in. */
  readonly agents: Agents;
  readonly plan: Plan;
}

/** The workflow that is to mind a lease, and what of its row is known before. */
interface Holding {
  readonly type: 'lease' | 'agentRun';
  readonly workflowId: string;
  readonly input: LeaseInput | AgentRunInput;
  readonly row: Pick<Acquisition, 'metadata' | 'run'>;
  readonly startDelaySeconds?: number;
}

export type Leases = ReturnType<typeof createLeases>;

/**
 * Leases: the row is the arbiter. An open workflow keeps the key and minds the time; who acquires it is told by one start, and
 * what changes it is one transaction on the row, which the workflow is told of and finds out in any case. No worker is needed.
 */
export function createLeases({ start, reach, leases, usage, recorder }: LeaseEngineDeps) {
  const verified = new LRUCache<string, true>({ max: MAX_VERIFIED, ttl: VERIFY_EVERY_MS });

  async function charge(tenant: string, charged: 0 | 1) {
    return { usage: await usage.aiThisMonth(tenant), limit: null, charged };
  }

  const workflowOf = (tenant: string, { key, ofRun }: LeaseRecord): string =>
    (ofRun ? runWorkflowId : leaseWorkflowId)(tenant, key);

  /** The lease of a key, held against its workflow: one whose workflow is gone is ended here and now, by the orphan's rule. */
  async function find(tenant: string, key: string): Promise<LeaseRecord | undefined> {
    const found = await leases.findMinded(tenant, key);
    if (found === undefined || !found.lease.remembered) return undefined;
    const { lease, workflowRunId: runId } = found;
    if (lease.state !== 'held' || verified.has(lease.leaseId)) return lease;
    const standing = await reach.standingOf({ workflowId: workflowOf(tenant, lease), runId });
    if (standing !== 'gone') {
      // What could not be asked is asked again sooner, and not by every poll.
      verified.set(lease.leaseId, true, { ttl: standing === 'open' ? VERIFY_EVERY_MS : ASK_AGAIN_MS });
      return lease;
    }
    await leases.orphan(tenant, key, lease.leaseId);
    return await leases.find(tenant, key);
  }

  async function polled({ tenant, actor }: Caller, lease: LeaseRecord): Promise<Lease> {
    const type = lease.state === 'held' ? 'ai_in_progress' : `ai_${lease.state}`;
    await recorder.record({ tenant, type, actor, key: lease.key, detail: { polled: true } }, 'ai_polling');
    return polledLease(lease, await charge(tenant, 0));
  }

  const isMine = (lease: LeaseRecord, { owner }: Wanted): boolean =>
    lease.state === 'held' && lease.owner !== null && lease.owner === owner;

  /** The answer that the row alone can give: the lease is held or final. */
  async function fromRow(caller: Caller, request: Wanted): Promise<Lease | undefined> {
    const lease = await find(caller.tenant, request.key);
    if (lease === undefined || !blocksAcquisition(lease, request.retry_failed ?? false)) return undefined;
    permit(caller, lease);
    if (isMine(lease, request)) return acquiredLease(lease, await charge(caller.tenant, 0));
    return await polled(caller, lease);
  }

  /**
   * Starts what is to mind the lease, or finds what is open and has no row yet; undefined where that is not for this caller to
   * write: it is closing, its own starter is about to write it, or it is kept for an owner whose answer was lost.
   */
  async function mindingRun({ tenant }: Caller, { key, owner }: Wanted, holding: Holding): Promise<string | undefined> {
    const { type, workflowId, input, startDelaySeconds } = holding;
    const ownerHash = owner && hashOf(owner);
    const { started, runId } = await start({
      type,
      tenant,
      workflowId,
      input,
      requestId: randomUUID(),
      attributes: { tenant },
      memo: { [BY_ROW_MEMO]: 'true', ...(ownerHash && { [OWNER_MEMO]: ownerHash }) },
      ...(startDelaySeconds !== undefined && { startDelaySeconds }),
    });
    if (started) return runId;
    const open = await reach.openUnder(workflowId);
    if (open?.memo[BY_ROW_MEMO] !== 'true') return undefined;
    const keptFor = open.memo[OWNER_MEMO];
    // A run of actions makes those of its starter: it is not to be had for others.
    if (type === 'agentRun') return keptFor !== undefined && keptFor === ownerHash ? open.runId : undefined;
    const known = await leases.findMinded(tenant, key);
    // Once there was a row for it, its starter has had the answer: what it minds next is anybody's.
    if (known?.workflowRunId === open.runId) return open.runId;
    // One that found the key taken by another is about to close.
    return known?.lease.state !== 'held' && (keptFor === undefined || keptFor === ownerHash) ? open.runId : undefined;
  }

  /** Writes the row for the workflow that is open; undefined where that is about to close. */
  async function openRow(
    { tenant, actor, plan }: Caller,
    request: Wanted,
    { row, workflowId }: Holding,
    run: { workflowRunId: string; acquisition: string },
  ): Promise<Extract<Opened, { lease: LeaseRecord }> | undefined> {
    const opened = await leases
      .open({
        tenant,
        key: request.key,
        ttlSeconds: grantedTtl(request.ttl, plan),
        owner: request.owner ?? null,
        retryFailed: request.retry_failed ?? false,
        actor,
        ...run,
        ...row,
      })
      .catch(unknownIfLost);
    if (opened.kind !== 'run_closed') return opened;
    // It has found its end, and closes as soon as a worker gets to it.
    await reach.nudge(workflowId);
    return undefined;
  }

  async function answerOf(
    caller: Caller,
    request: Wanted,
    { kind, lease }: { kind: 'acquired' | 'taken'; lease: LeaseRecord },
  ) {
    permit(caller, lease);
    if (kind === 'taken' && !isMine(lease, request)) return await polled(caller, lease);
    verified.set(lease.leaseId, true);
    return acquiredLease(lease, await charge(caller.tenant, kind === 'acquired' ? 1 : 0).catch(unknownIfAway));
  }

  /** Acquires the key for the workflow that is to mind it, or says who is ahead. */
  async function acquireFor(caller: Caller, request: Wanted, holding: Holding, acquisition: string): Promise<Lease> {
    const until = Date.now() + ACQUISITION_PATIENCE_MS;
    for (let pause = 20; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const answered = await fromRow(caller, request);
      if (answered !== undefined) return answered;
      const workflowRunId = await mindingRun(caller, request, holding);
      const opened = workflowRunId && (await openRow(caller, request, holding, { workflowRunId, acquisition }));
      if (opened) {
        // What was started in vain finds that somebody was quicker, and ends.
        if (opened.mindedBy !== workflowRunId)
          void reach.startedInVain({ workflowId: holding.workflowId, runId: workflowRunId });
        return await answerOf(caller, request, opened);
      }
      if (Date.now() + pause > until) throw new Refusal('unavailable');
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async function shown(caller: Caller, key: string): Promise<LeaseRecord> {
    const lease = await find(caller.tenant, key);
    if (lease === undefined) throw new Refusal('lease_not_found', { key });
    permit(caller, lease);
    return lease;
  }

  /** Another agent's lease is not changed; whose it is does not change while it is held. */
  async function permitted(caller: Caller, key: string): Promise<void> {
    if (caller.agents === null) return;
    const lease = await leases.find(caller.tenant, key);
    if (lease !== undefined) permit(caller, lease);
  }

  /** A change as its holder is told of it. */
  function changed(tenant: string, key: string, change: LeaseChange): LeaseRecord {
    if (change.kind !== 'changed') throw new Refusal(`lease_${change.kind}`, { key });
    void reach.nudge(workflowOf(tenant, change.lease));
    return change.lease;
  }

  async function finish(
    caller: Caller,
    { key, lease_id: leaseId }: { key: string; lease_id: string },
    ending: LeaseEnding,
  ): Promise<LeaseState> {
    const { tenant, actor } = caller;
    await permitted(caller, key);
    return endedLease(changed(tenant, key, await leases.finish(tenant, { key, leaseId, actor }, ending)));
  }

  return {
    /** Acquires the key, or says who is ahead: `acquired`, `polling`, `completed` or `failed`. */
    lease: (caller: Caller, request: LeaseRequest): Promise<Lease> =>
      acquireFor(
        caller,
        request,
        {
          type: 'lease',
          workflowId: leaseWorkflowId(caller.tenant, request.key),
          input: { ...inputOf(caller, request), by_row: true, ...(request.metadata && { metadata: request.metadata }) },
          row: { metadata: request.metadata ?? null },
          startDelaySeconds: FIRST_LOOK_SECONDS,
        },
        randomUUID(),
      ),

    /** The same for a run of several actions, which ends the lease itself. */
    run(caller: Caller, request: AgentRunRequest): Promise<Lease> {
      const { agent_id, run_id, actions, dry_run } = request.metadata ?? {};
      const acquisition = randomUUID();
      const input = { ...inputOf(caller, request), by_row: true, agent_id, run_id, actions, dry_run };
      const run = { runId: run_id ?? request.key, agentId: agent_id ?? null };
      const workflowId = runWorkflowId(caller.tenant, request.key);
      const holding: Holding = {
        type: 'agentRun',
        workflowId,
        input: withoutAbsent(input),
        row: { metadata: null, run },
      };
      return acquireFor(caller, request, holding, acquisition);
    },

    async extend(caller: Caller, { key, lease_id: leaseId, ttl }: ExtendRequest): Promise<ExtendAnswer> {
      const { tenant, actor, plan } = caller;
      await permitted(caller, key);
      const granted = ttl === undefined ? null : grantedTtl(ttl, plan);
      const lease = changed(tenant, key, await leases.extend(tenant, { key, leaseId, actor }, granted));
      return { ok: true, status: 'extended', key, ttl: lease.ttlSeconds, version: lease.version, fence: lease.fence };
    },

    complete: (caller: Caller, { result, result_hash, ...request }: CompleteRequest): Promise<LeaseState> =>
      finish(caller, request, { state: 'completed', result: result ?? null, resultHash: result_hash ?? null }),
    fail: (caller: Caller, { error_code, error_hash, ...request }: FailRequest): Promise<LeaseState> =>
      finish(caller, request, { state: 'failed', errorCode: error_code, errorHash: error_hash ?? null }),
    cancel: (caller: Caller, { reason, ...request }: CancelRequest): Promise<LeaseState> =>
      finish(caller, request, { state: 'canceled', reason: reason ?? null }),

    status: async (caller: Caller, key: string): Promise<LeaseState> => stateOf(await shown(caller, key)),
    result: async (caller: Caller, key: string): Promise<LeaseResult> => resultOf(await shown(caller, key)),
  };
}

/** @throws {Refusal} `agent_not_permitted` where the lease is another agent's. */
function permit({ agents }: Caller, { agentId }: LeaseRecord): void {
  if (!speaksFor(agents, agentId)) throw new Refusal('agent_not_permitted', { agent_id: agentId });
}

/** The workflow is there by now; whether the row is depends on what became of its transaction. */
function unknownIfLost(error: unknown): never {
  if (isDatabaseAnswerLost(error)) throw new Refusal('outcome_unknown', {}, error);
  throw error;
}

/** What both kinds of lease are asked for with. */
type Wanted = Pick<LeaseRequest, 'key' | 'ttl' | 'owner' | 'retry_failed'>;

const inputOf = ({ tenant, actor, plan }: Caller, request: Wanted) => ({
  tenant,
  key: request.key,
  ttl: grantedTtl(request.ttl, plan),
  actor,
  ...(request.owner && { owner: request.owner }),
  ...(request.retry_failed && { retry_failed: true }),
});

const withoutAbsent = (input: { [Name in keyof AgentRunInput]: AgentRunInput[Name] | undefined }): AgentRunInput =>
  Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)) as unknown as AgentRunInput;
