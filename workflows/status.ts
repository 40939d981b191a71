import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { defineSignal, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { Findable } from '../activities/found-by.ts';
import type { ActionAnswer, ActionRequest, WorkflowRun } from '../src/contracts/action.ts';

const tenantKey = defineSearchAttributeKey('OnceOnlyTenant', SearchAttributeType.KEYWORD);
const agentKey = defineSearchAttributeKey('OnceOnlyAgent', SearchAttributeType.KEYWORD);
const toolKey = defineSearchAttributeKey('OnceOnlyTool', SearchAttributeType.KEYWORD);
const statusKey = defineSearchAttributeKey('OnceOnlyStatus', SearchAttributeType.KEYWORD);

/** Tells a run of an action of its own that is in doubt: the action goes on, the run does not wait for it. */
export const actionDoubted = defineSignal<[ActionAnswer]>('actionDoubted');

/** Says that the row has changed which the workflow stands for: it looks there, and need not be told what. */
export const rowChanged = defineSignal('rowChanged');
/** Whoever was to write the row it waits for found the key taken: there will be none. */
export const startedInVain = defineSignal('startedInVain');

/** Asks an action to tell a workflow run when it has ended, and what it then tells: its own workflow ID. */
export const tellMe = defineSignal<[WorkflowRun]>('tellMe');
export const actionEnded = defineSignal<[string]>('actionEnded');

/**
 * Marks the workflow for operators (`OnceOnlyStatus = 'in_doubt'`). A namespace that does not know our attributes would
 * fail the workflow task: one that started this workflow with them does know. What goes well needs no mark, it is done.
 */
export function mark(answer: ActionAnswer): ActionAnswer {
  const { typedSearchAttributes: attributes } = workflowInfo();
  const marked = attributes.get(statusKey) !== undefined;
  if (attributes.get(tenantKey) !== undefined && (marked || answer.decision !== 'executed')) {
    upsertSearchAttributes([{ key: statusKey, value: answer.decision }]);
  }
  return answer;
}

/**
 * Sets what operators find the workflow by, as its first step says: an application that has started it has not, or not all. One
 * that is not told so was begun by an earlier version, or its namespace does not know the attributes.
 */
export function makeFindable({ foundBy }: Findable): void {
  if (foundBy === undefined) return;
  const { typedSearchAttributes: known } = workflowInfo();
  const missing = [
    { key: tenantKey, value: foundBy.tenant },
    { key: agentKey, value: foundBy.agent },
    { key: toolKey, value: foundBy.tool },
  ].flatMap(({ key, value }) => (value === undefined || known.get(key) !== undefined ? [] : [{ key, value }]));
  if (missing.length > 0) upsertSearchAttributes(missing);
}

/** What operators find a run's action by, where the run itself was started with attributes. */
export function attributesOfCall({ agent_id, tool }: ActionRequest) {
  const tenant = workflowInfo().typedSearchAttributes.get(tenantKey);
  if (tenant === undefined) return {};
  return {
    typedSearchAttributes: [
      { key: tenantKey, value: tenant },
      { key: agentKey, value: agent_id },
      { key: toolKey, value: tool },
    ],
  };
}
