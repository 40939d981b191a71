import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, mapToPayloads } from '@temporalio/common';
import { Refusal } from '../contracts/errors.ts';
import { createTurns, MissedTurn, ofStarts } from '../store/turns.ts';
import { isConnected } from './connection.ts';
import { asUnavailable, isWorthRepeating, mayHaveArrived } from './faults.ts';
import { enums, type temporal } from './proto.ts';
import { PAUSES_MS } from './rpc.ts';
import type { SearchAttributes } from './search-attributes.ts';
import type { ServerClock } from './server-clock.ts';

const { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } = enums;

/** How long one call to Temporal may take before the request gets its 503. */
const RPC_TIMEOUT_MS = 4_000;

/**
 * Starts under way in a process, of which a tenant that is alone has half. What is sent beyond what server and worker get done
 * only waits there, against its deadline, and its callers cannot be told whether it was accepted; here it can.
 */
const UNDER_WAY = 64;
/** Starts that wait for their turn, of which a tenant that is alone has half. */
const WAITING = 20_000;

const identity = `onceonly-api@${hostname()}:${process.pid}`;
const seconds = (count: number) => ({ seconds: count as unknown as Long });
type Long = NonNullable<
  temporal.api.workflowservice.v1.IStartWorkflowExecutionRequest['workflowStartDelay']
>['seconds'];

export interface Start {
  readonly type: string;
  readonly workflowId: string;
  /** Tenants take turns where work waits (https://docs.temporal.io/develop/task-queue-priority-fairness). */
  readonly tenant: string;
  readonly input: object;
  /** A call that is repeated under the same id, as the connection does after a fault, starts once. */
  readonly requestId: string;
  readonly memo?: Record<string, string>;
  /** Whether the worker of this process, if it has one, may take the first workflow task with the answer. */
  readonly eager?: boolean;
  readonly executionTimeoutSeconds?: number;
  readonly startDelaySeconds?: number;
  /** What operators find it by, beside its ID. */
  readonly attributes?: Parameters<SearchAttributes['of']>[0];
}

export interface Started {
  /** Whether this request started the run, rather than found it open. */
  readonly started: boolean;
  readonly runId: string;
}

export interface StarterDeps {
  readonly client: Client;
  /** A client on the connection of this process's own worker, which then takes first workflow tasks at once. */
  readonly eagerClient?: Client | undefined;
  readonly taskQueue: string;
  readonly attributes: SearchAttributes;
  readonly clock: ServerClock;
}

export type Starter = ReturnType<typeof createStarter>;

/**
 * Starts a workflow, or attaches to the one that is open under its ID, in one call. The raw service is used because the
 * SDK's `start` does not say which of the two happened.
 *
 * A start ends in one of three ways: it was accepted; it was not (`unavailable`: no connection stood, or the server said no);
 * or nobody knows, since its answer was lost. What nobody knows does not begin later: the input names the moment
 * (`begin_before`, by Temporal's clock) after which its first step does nothing.
 */
export function createStarter({ client, eagerClient, taskQueue, attributes, clock }: StarterDeps) {
  const turns = createTurns({
    ...{ places: UNDER_WAY, ofOne: UNDER_WAY, patienceMs: RPC_TIMEOUT_MS },
    ...{ waiting: WAITING, waitingOfOne: WAITING },
  });

  async function begin(start: Start): Promise<Started> {
    const { namespace } = client.options;
    const deadline = Date.now() + RPC_TIMEOUT_MS;
    const request = { ...requestOf(start, clock.now() + RPC_TIMEOUT_MS), namespace, taskQueue: { name: taskQueue } };
    const searchAttributes = start.attributes && attributes.of(start.attributes);
    // The worker's connection goes on trying for seconds after we have answered 503: not the way to a server that is away.
    const eager = start.eager === true && eagerClient !== undefined && isConnected(client);
    const { connection, workflowService } = eager ? eagerClient : client;
    const send = async () => {
      const sentAt = Date.now();
      const sent = connection.withDeadline(deadline, () =>
        // https://docs.temporal.io/develop/worker-performance#eager-workflow-start
        workflowService.startWorkflowExecution({ ...request, searchAttributes, requestEagerExecution: eager }),
      );
      const { started, runId } = await (eager ? within(deadline - sentAt, sent) : sent);
      if (started) clock.observe(runId, sentAt, Date.now());
      return { started, runId };
    };
    return await persist(send, deadline, (error) => eager || mayHaveArrived(error));
  }

  /**
   * Waits for its turn until `until` (unix milliseconds) at the latest, as long as others of the tenant are answered meanwhile.
   *
   * @throws {Refusal} `unavailable`, `outcome_unknown`.
   */
  return async (start: Start, until = Date.now() + RPC_TIMEOUT_MS): Promise<Started> =>
    await turns
      .within(ofStarts(start.tenant), () => begin(start), until)
      .catch((error: unknown) => {
        throw error instanceof MissedTurn ? new Refusal('unavailable', {}, error) : error;
      });
}

/** Sends until it is answered, or is to be given up. Under one request id a start that is repeated starts once. */
async function persist<T>(
  send: () => Promise<T>,
  deadline: number,
  mayHaveBegun: (error: unknown) => boolean,
): Promise<T> {
  let mayBegin = false;
  for (let n = 0; ; n += 1) {
    try {
      return await send();
    } catch (error) {
      mayBegin ||= mayHaveBegun(error);
      const pause = PAUSES_MS[n];
      const isOver = pause === undefined || Date.now() + pause >= deadline || !isWorthRepeating(error);
      if (isOver) throw refusalOf(error, mayBegin);
      await sleep(pause);
    }
  }
}

/** What the caller may be told. A fault that is none of Temporal's being away stays what it is. */
function refusalOf(error: unknown, mayBegin: boolean): unknown {
  if (mayBegin) return new Refusal('outcome_unknown', {}, error);
  return asUnavailable(error);
}

const requestOf = (start: Start, beginBefore: number) => ({
  workflowId: start.workflowId,
  workflowType: { name: start.type },
  input: { payloads: [defaultPayloadConverter.toPayload({ ...start.input, begin_before: Math.ceil(beginBefore) })] },
  requestId: start.requestId,
  priority: { fairnessKey: start.tenant },
  identity,
  workflowIdReusePolicy: WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
  workflowIdConflictPolicy: WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
  ...(start.memo && { memo: { fields: mapToPayloads(defaultPayloadConverter, start.memo) } }),
  ...(start.executionTimeoutSeconds && { workflowExecutionTimeout: seconds(start.executionTimeoutSeconds) }),
  ...(start.startDelaySeconds && { workflowStartDelay: seconds(start.startDelaySeconds) }),
});

/** The native connection takes a deadline for each of its tries, not for all of them together. */
async function within<T>(milliseconds: number, call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Refusal('outcome_unknown')), milliseconds);
  });
  return await Promise.race([call, late]).finally(() => clearTimeout(timer));
}
