import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { ActionAnswer } from '../src/contracts/action.ts';

const tenantKey = defineSearchAttributeKey('OnceOnlyTenant', SearchAttributeType.KEYWORD);
const statusKey = defineSearchAttributeKey('OnceOnlyStatus', SearchAttributeType.KEYWORD);

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
