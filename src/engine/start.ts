import { hostname } from 'node:os';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, mapToPayloads } from '@temporalio/common';
import { asUnavailable } from './faults.ts';
import { enums, type temporal } from './proto.ts';
import type { SearchAttributes } from './search-attributes.ts';

const { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } = enums;

/** How long one call to Temporal may take before the request gets its 503. */
const RPC_TIMEOUT_MS = 4_000;

const identity = `onceonly-api@${hostname()}:${process.pid}`;
const seconds = (count: number) => ({ seconds: count as unknown as Long });
type Long = NonNullable<
  temporal.api.workflowservice.v1.IStartWorkflowExecutionRequest['workflowStartDelay']
>['seconds'];

export interface Start {
  readonly type: string;
  readonly workflowId: string;
  readonly input: unknown;
  /** A call that is repeated under the same id, as the connection does after a fault, starts once. */
  readonly requestId: string;
  readonly memo?: Record<string, string>;
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
  /** Whether this process has a worker on the client's connection: then it takes the first workflow task at once. */
  readonly eager: boolean;
  readonly taskQueue: string;
  readonly attributes: SearchAttributes;
}

export type Starter = ReturnType<typeof createStarter>;

/**
 * Starts a workflow, or attaches to the one that is open under its ID, in one call. The raw service is used because the
 * SDK's `start` does not say which of the two happened.
 */
export const createStarter =
  ({ client, eager, taskQueue, attributes }: StarterDeps) =>
  /** @throws {Refusal} `unavailable` when Temporal cannot be reached. */
  async (start: Start): Promise<Started> => {
    try {
      const answer = await client.connection.withDeadline(Date.now() + RPC_TIMEOUT_MS, () =>
        client.workflowService.startWorkflowExecution({
          namespace: client.options.namespace,
          workflowId: start.workflowId,
          workflowType: { name: start.type },
          taskQueue: { name: taskQueue },
          input: { payloads: [defaultPayloadConverter.toPayload(start.input)] },
          requestId: start.requestId,
          identity,
          // https://docs.temporal.io/develop/worker-performance#eager-workflow-start; not with a start delay.
          requestEagerExecution: eager && start.startDelaySeconds === undefined,
          workflowIdReusePolicy: WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
          workflowIdConflictPolicy: WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
          ...(start.attributes && { searchAttributes: attributes.of(start.attributes) }),
          ...(start.memo && { memo: { fields: mapToPayloads(defaultPayloadConverter, start.memo) } }),
          ...(start.executionTimeoutSeconds && { workflowExecutionTimeout: seconds(start.executionTimeoutSeconds) }),
          ...(start.startDelaySeconds && { workflowStartDelay: seconds(start.startDelaySeconds) }),
        }),
      );
      return { started: answer.started, runId: answer.runId };
    } catch (error) {
      throw asUnavailable(error);
    }
  };
