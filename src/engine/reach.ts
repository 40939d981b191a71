import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, mapFromPayloads } from '@temporalio/common';
import { isWorkflowNotFound } from './faults.ts';
import { enums } from './proto.ts';
import { nudge, read } from './rpc.ts';

const { WORKFLOW_EXECUTION_STATUS_RUNNING } = enums.WorkflowExecutionStatus;

/** A workflow by its ID and the run that it began with. */
export interface Execution {
  readonly workflowId: string;
  readonly runId: string;
}

export interface OpenWorkflow {
  /** The run that it began with. */
  readonly runId: string;
  /** Whether that is sure: a server that does not tell its first run tells the present one, which may have continued another. */
  readonly isFirst: boolean;
  readonly memo: Readonly<Record<string, unknown>>;
}

/** `gone`: closed, forgotten, or its ID is in the hands of a later execution. */
export type WorkflowStanding = 'open' | 'gone' | 'unknown';

/** Who only looks whether a row is right does not wait for a Temporal that is away. */
const LOOK_TIMEOUT_MS = 700;

export type Reach = ReturnType<typeof createReach>;

/** What can be asked of, and said to, the workflow that a row speaks of. */
export function createReach(client: Client) {
  const { namespace } = client.options;

  const describe = (workflowId: string, timeoutMs?: number) =>
    read(
      client,
      () => client.workflowService.describeWorkflowExecution({ namespace, execution: { workflowId } }),
      timeoutMs,
    );

  return {
    /** The workflow that is open under an ID: the run that it began with, and its memo; undefined where none is. */
    async openUnder(workflowId: string, timeoutMs?: number): Promise<OpenWorkflow | undefined> {
      try {
        const { workflowExecutionInfo: info } = await describe(workflowId, timeoutMs);
        const runId = info?.firstRunId || info?.execution?.runId;
        if (info?.status !== WORKFLOW_EXECUTION_STATUS_RUNNING || !runId) return undefined;
        return {
          runId,
          isFirst: Boolean(info.firstRunId),
          memo: mapFromPayloads(defaultPayloadConverter, info.memo?.fields ?? {}) ?? {},
        };
      } catch (error) {
        if (isWorkflowNotFound(error)) return undefined;
        throw error;
      }
    },

    /** The run that the open workflow of an ID began with; undefined where none is open. */
    async firstRunOf(workflowId: string): Promise<string | undefined> {
      return (await this.openUnder(workflowId))?.runId;
    },

    /** Whether the workflow is open that a row says is. What cannot be asked is not known. */
    async standingOf({ workflowId, runId }: Execution): Promise<WorkflowStanding> {
      try {
        const open = await this.openUnder(workflowId, LOOK_TIMEOUT_MS);
        if (open?.runId === runId) return 'open';
        return open === undefined || open.isFirst ? 'gone' : 'unknown';
      } catch {
        return 'unknown';
      }
    },

    /** Tells a workflow to look at its row; says whether Temporal could be reached. */
    nudge: (workflowId: string): Promise<boolean> =>
      nudge(client, () => client.workflow.getHandle(workflowId).signal('rowChanged')),

    /** Tells a workflow that the row it waits for will not come. */
    startedInVain: ({ workflowId, runId }: Execution): Promise<boolean> =>
      nudge(client, () => client.workflow.getHandle(workflowId, runId).signal('startedInVain')),

    /** Cancels a workflow, if it is still the execution that is meant; says whether Temporal could be reached. */
    cancel: ({ workflowId, runId: firstExecutionRunId }: Execution): Promise<boolean> =>
      nudge(client, () => client.workflow.getHandle(workflowId, undefined, { firstExecutionRunId }).cancel()),
  };
}
