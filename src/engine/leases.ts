import { randomUUID } from 'node:crypto';
import {
  type Client,
  WithStartWorkflowOperation,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { AgentRunInput, AgentRunRequest } from '../contracts/agent-run.ts';
import { isRefusalCode, Refusal } from '../contracts/errors.ts';
import type {
  CancelRequest,
  CompleteRequest,
  ExtendAnswer,
  ExtendRequest,
  FailRequest,
  Lease,
  LeaseCall,
  LeaseInput,
  LeaseRequest,
  LeaseResult,
  LeaseState,
} from '../contracts/lease.ts';
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
import type { createLeases as createLeaseStore } from '../store/leases.ts';
import type { Recorder } from '../store/recorder.ts';
import type { createUsage } from '../store/usage.ts';
import { asUnavailable, isTemporalUnavailable, isWorkflowNotFound } from './faults.ts';
import type { SearchAttributes } from './search-attributes.ts';

/** How long an update may take, worker included. */
const UPDATE_TIMEOUT_MS = 10_000;
/** A run that is just closing is followed by another; more often than this is a fault. */
const MAX_ACQUISITIONS = 10;

export interface LeaseEngineDeps {
  readonly client: Client;
  readonly taskQueue: string;
  readonly attributes: SearchAttributes;
  readonly leases: ReturnType<typeof createLeaseStore>;
  readonly usage: ReturnType<typeof createUsage>;
  readonly recorder: Recorder;
}

export interface Caller {
  readonly tenant: string;
  readonly actor: string;
  readonly plan: Plan;
}

type HoldingWorkflow = (input: LeaseInput | AgentRunInput) => Promise<unknown>;

/** The workflow that is to hold a lease. */
interface Holding {
  readonly type: 'lease' | 'agentRun';
  readonly workflowId: string;
  readonly input: LeaseInput | AgentRunInput;
}

export type Leases = ReturnType<typeof createLeases>;

/** Leases: changed by updates of the `lease` workflow, read from their rows. */
export function createLeases({ client, taskQueue, attributes, leases, usage, recorder }: LeaseEngineDeps) {
  // One acquisition of a key at a time in this process: a run takes ten updates in flight, and the row answers the rest.
  const acquiring = new Map<string, Promise<unknown>>();

  async function charge(tenant: string, charged: 0 | 1) {
    return { usage: await usage.aiThisMonth(tenant), limit: null, charged };
  }

  /** The answer that the row alone can give: the lease is held or final. */
  async function fromRow({ tenant, actor }: Caller, request: Wanted): Promise<Lease | undefined> {
    const lease = await leases.find(tenant, request.key);
    if (lease === undefined || !blocksAcquisition(lease, request.retry_failed ?? false)) return undefined;
    const mine = lease.state === 'held' && lease.owner !== null && lease.owner === request.owner;
    if (mine) return acquiredLease(lease, await charge(tenant, 0));
    const type = lease.state === 'held' ? 'ai_in_progress' : `ai_${lease.state}`;
    await recorder.record({ tenant, type, actor, key: request.key, detail: { polled: true } }, 'ai_polling');
    return polledLease(lease, await charge(tenant, 0));
  }

  async function acquire({ tenant }: Caller, request: Wanted, holding: Holding): Promise<Lease | undefined> {
    const workflow = new WithStartWorkflowOperation<HoldingWorkflow>(holding.type, {
      workflowId: holding.workflowId,
      taskQueue,
      args: [holding.input],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      ...attributes.typed({ tenant }),
    });
    const args: [LeaseCall['acquire']] = [request.owner ? { owner: request.owner } : {}];
    return await orOver(() =>
      client.connection.withDeadline(Date.now() + UPDATE_TIMEOUT_MS, () =>
        client.workflow.executeUpdateWithStart<HoldingWorkflow, Lease, [LeaseCall['acquire']]>('acquire', {
          args,
          updateId: randomUUID(),
          startWorkflowOperation: workflow,
        }),
      ),
    );
  }

  /** Acquires the key for the workflow that is to hold it, or says who is ahead. */
  async function acquireFor(caller: Caller, request: Wanted, holding: Holding): Promise<Lease> {
    const slot = `${caller.tenant}/${request.key}`;
    for (let tries = 0; tries < MAX_ACQUISITIONS; tries += 1) {
      const answered = await fromRow(caller, request);
      if (answered !== undefined) return answered;
      const other = acquiring.get(slot);
      if (other !== undefined) {
        await other.catch(() => undefined);
        continue;
      }
      const mine = acquire(caller, request, holding);
      acquiring.set(slot, mine);
      const lease = await mine.finally(() => acquiring.delete(slot));
      if (lease !== undefined) return lease;
      await new Promise((resolve) => setTimeout(resolve, 20 * (tries + 1)));
    }
    throw new Refusal('unavailable');
  }

  /** The lease as its holder may change it. */
  async function heldBy({ tenant }: Caller, key: string, leaseId: string): Promise<LeaseRecord> {
    const lease = await leases.find(tenant, key);
    if (lease === undefined) throw new Refusal('lease_not_found', { key });
    if (lease.leaseId !== leaseId) throw new Refusal('lease_mismatch', { key });
    return lease;
  }

  async function update<Name extends Exclude<keyof LeaseCall, 'acquire'>, Answer>(
    { tenant, actor }: Caller,
    { key, ofRun }: LeaseRecord,
    name: Name,
    call: LeaseCall[Name],
  ): Promise<Answer> {
    const handle = client.workflow.getHandle((ofRun ? runWorkflowId : leaseWorkflowId)(tenant, key));
    const answer = await orOver(() =>
      client.connection.withDeadline(Date.now() + UPDATE_TIMEOUT_MS, () =>
        handle.executeUpdate<Answer, [LeaseCall[Name]]>(name, { args: [{ ...call, actor }] }),
      ),
    );
    if (answer === undefined) throw new Refusal('lease_not_active', { key });
    return answer;
  }

  /** Ends a lease; a repeat of the same ending is answered from the row. */
  async function finish<Name extends 'complete' | 'fail' | 'cancel'>(
    caller: Caller,
    name: Name,
    { key, ...call }: { key: string } & LeaseCall[Name],
  ): Promise<LeaseState> {
    const ended = (lease: LeaseRecord) => lease.state === endStates[name];
    const lease = await heldBy(caller, key, call.lease_id);
    if (ended(lease)) return endedLease(lease);
    if (lease.state !== 'held') throw new Refusal('lease_not_active', { key });
    try {
      return await update<Name, LeaseState>(caller, lease, name, call as unknown as LeaseCall[Name]);
    } catch (error) {
      // Two equal endings at once: the one that came second finds the workflow closed by the first.
      const now = await heldBy(caller, key, call.lease_id);
      if (error instanceof Refusal && error.code === 'lease_not_active' && ended(now)) return endedLease(now);
      throw error;
    }
  }

  return {
    /** Acquires the key, or says who is ahead: `acquired`, `polling`, `completed` or `failed`. */
    lease: (caller: Caller, request: LeaseRequest): Promise<Lease> =>
      acquireFor(caller, request, {
        type: 'lease',
        workflowId: leaseWorkflowId(caller.tenant, request.key),
        input: { ...inputOf(caller, request), ...(request.metadata && { metadata: request.metadata }) },
      }),

    /** The same for a run of several actions, which begins with the acquisition and ends the lease itself. */
    run(caller: Caller, request: AgentRunRequest): Promise<Lease> {
      const { agent_id, run_id, actions, dry_run } = request.metadata ?? {};
      const input = { ...inputOf(caller, request), agent_id, run_id, actions, dry_run };
      const workflowId = runWorkflowId(caller.tenant, request.key);
      return acquireFor(caller, request, { type: 'agentRun', workflowId, input: withoutAbsent(input) });
    },

    async extend(caller: Caller, { key, lease_id, ttl }: ExtendRequest): Promise<ExtendAnswer> {
      const lease = await heldBy(caller, key, lease_id);
      if (lease.state !== 'held') throw new Refusal('lease_not_active', { key });
      const granted = ttl === undefined ? {} : { ttl: grantedTtl(ttl, caller.plan) };
      return await update<'extend', ExtendAnswer>(caller, lease, 'extend', { lease_id, ...granted });
    },

    complete: (caller: Caller, request: CompleteRequest): Promise<LeaseState> => finish(caller, 'complete', request),
    fail: (caller: Caller, request: FailRequest): Promise<LeaseState> => finish(caller, 'fail', request),
    cancel: (caller: Caller, request: CancelRequest): Promise<LeaseState> => finish(caller, 'cancel', request),

    async status({ tenant }: Caller, key: string): Promise<LeaseState> {
      const lease = await leases.find(tenant, key);
      if (lease === undefined) throw new Refusal('lease_not_found', { key });
      return stateOf(lease);
    },

    async result({ tenant }: Caller, key: string): Promise<LeaseResult> {
      const lease = await leases.find(tenant, key);
      if (lease === undefined) throw new Refusal('lease_not_found', { key });
      return resultOf(lease);
    },
  };
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

const endStates = { complete: 'completed', fail: 'failed', cancel: 'canceled' } as const;

/** An update's answer; undefined where the run is over or about to close, so that the row tells how it stands. */
async function orOver<T>(update: () => Promise<T>): Promise<T | undefined> {
  try {
    return await update();
  } catch (error) {
    if (isWorkflowNotFound(error)) return undefined;
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isTemporalUnavailable(error)) {
      throw new Refusal('unavailable');
    }
    const failure = error instanceof WorkflowUpdateFailedError ? error.cause : undefined;
    if (failure instanceof ApplicationFailure) {
      const type = failure.type ?? '';
      if (type === 'lease_not_active' || type === 'AcceptedUpdateCompletedWorkflow') return undefined;
      if (isRefusalCode(type)) throw new Refusal(type);
    }
    throw asUnavailable(error);
  }
}
