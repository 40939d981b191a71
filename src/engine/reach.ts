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
  readonly memo: Readonly<Record<string, unknown>>;
}

/** `gone`: closed, forgotten, or its ID is in the hands of a later execution. */
export type WorkflowStanding = 'open' | 'gone' | 'unknown';

export type Reach = ReturnType<typeof createReach>;

/** What can be asked of, and said to, the workflow that a row speaks of. */
export function createReach(client: Client) {
  const { namespace } = client.options;

  const describe = async (workflowId: string) =>
    await read(client, () =>
      client.workflowService.describeWorkflowExecution({ namespace, execution: { workflowId } }),
    );

  return {
    /** The workflow that is open under an ID: the run that it began with, and its memo; undefined where none is. */
    async openUnder(workflowId: string): Promise<OpenWorkflow | undefined> {
      try {
        const { workflowExecutionInfo: info } = await describe(workflowId);
        const runId = info?.firstRunId || info?.execution?.runId;
        if (info?.status !== WORKFLOW_EXECUTION_STATUS_RUNNING || !runId) return undefined;
        return { runId, memo: mapFromPayloads(defaultPayloadConverter, info.memo?.fields ?? {}) ?? {} };
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
        return (await this.firstRunOf(workflowId)) === runId ? 'open' : 'gone';
      } catch {
        return 'unknown';
      }
    },

    /** Tells a workflow to look at its row; says whether Temporal could be reached. */
    nudge: (workflowId: string): Promise<boolean> =>
      nudge(client, () => client.workflow.getHandle(workflowId).signal('rowChanged')),

    /** Cancels a workflow, if it is still the execution that is meant; says whether Temporal could be reached. */
    cancel: ({ workflowId, runId: firstExecutionRunId }: Execution): Promise<boolean> =>
      nudge(client, () => client.workflow.getHandle(workflowId, undefined, { firstExecutionRunId }).cancel()),
  };
}
