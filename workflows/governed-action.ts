import {
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineUpdate,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { InDoubt } from '../activities/doubt.ts';
import type { ActionAnswer, ActionRequest, Resolution } from '../src/contracts/action.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { actionOfRun } from '../src/domain/action.ts';
import { approvalOf } from './approval.ts';
import { refusal } from './refusal.ts';
import { actionDoubted, mark } from './status.ts';
import { abandonAction, admit, callToolWithin, checkDoubt, resolveAction } from './steps.ts';

/** What an operator sees of an action under way. */
export interface ActionProgress {
  readonly step: 'admit' | 'waiting_approval' | 'callTool' | 'retry' | 'in_doubt' | 'done';
  readonly attempt: number;
  readonly answer?: ActionAnswer;
}

export const actionState = defineQuery<ActionProgress>('state');
export const resolveUpdate = defineUpdate<ActionAnswer, [Resolution]>('resolve');

/**
 * One governed call: ruled on, held, recorded, made, settled. Its workflow ID is the idempotency key; while it is open
 * the key is taken. A denial is a result, an unknown tool a failure (`tool_not_found`).
 */
export async function governedAction(request: ActionRequest): Promise<ActionAnswer> {
  const { workflowId, firstExecutionRunId, continuedFromExecutionRunId } = workflowInfo();
  if (continuedFromExecutionRunId !== undefined && request.in_doubt) return await resolution(request, request.in_doubt);

  let progress: ActionProgress = { step: 'admit', attempt: 0 };
  setHandler(actionState, () => progress);

  const actionId = actionOfRun(firstExecutionRunId);
  if (continuedFromExecutionRunId !== undefined && request.waiting) {
    progress = { step: 'waiting_approval', attempt: 0, answer: request.waiting };
    const approved = await approvalOf({ tenant: request.tenant ?? DEFAULT_TENANT, actionId });
    if (approved.kind === 'answer') return mark(approved.answer);
  }
  // Never canceled half way: a row that says `running` has a workflow that ends it.
  const admission = await CancellationScope.nonCancellable(() => admit(request, { actionId, workflowId }));
  if (admission.kind === 'refused') throw refusal(admission.code, admission.message);
  if (admission.kind === 'answer') return mark(admission.answer);
  // The caller hears of it by the end of this run: it need not hold the line until somebody has the time.
  if (admission.kind === 'approval') {
    return await continueAsNew<typeof governedAction>({ ...request, waiting: mark(admission.answer) });
  }

  const { tenant } = admission;
  const callTool = callToolWithin(admission.timeoutMs);
  for (let n = 1; ; n += 1) {
    progress = { step: 'callTool', attempt: n };
    const isCanceled = CancellationScope.current().consideredCancelled;
    const report = await CancellationScope.nonCancellable(() =>
      isCanceled ? abandonAction({ tenant, actionId }) : callTool({ tenant, actionId, n }),
    );
    if (report.kind === 'settled') return mark(report.answer);
    if (report.kind === 'in_doubt') {
      if (request.of_run) await tellRun(report.answer);
      return await continueAsNew<typeof governedAction>({ ...request, in_doubt: mark(report.answer) });
    }
    progress = { step: 'retry', attempt: n };
    await pause(report.delayMs);
  }
}

/** Tells the run that waits for this action; a run that has ended needs to hear nothing. */
async function tellRun(doubted: ActionAnswer): Promise<void> {
  const { parent } = workflowInfo();
  if (parent === undefined) return;
  const run = getExternalWorkflowHandle(parent.workflowId, parent.runId);
  await CancellationScope.nonCancellable(() => run.signal(actionDoubted, doubted)).catch(() => undefined);
}

/** Waits this long, or until the workflow is canceled. */
async function pause(milliseconds: number): Promise<void> {
  try {
    await sleep(milliseconds);
  } catch (error) {
    if (!isCancellation(error)) throw error;
  }
}

const FIRST_LOOK_SECONDS = 15;
const LONGEST_PAUSE_SECONDS = 3600;

/**
 * Keeps the key taken until someone can say what the tool did: an operator by the update `resolve`, the tool by its
 * `status_url`, or an answer that was only late. The caller was told `in_doubt` when the first run closed.
 */
async function resolution(request: ActionRequest, doubted: ActionAnswer): Promise<ActionAnswer> {
  const inDoubt: InDoubt = { tenant: request.tenant ?? DEFAULT_TENANT, actionId: doubted.action_id };
  let answer = doubted;
  setHandler(actionState, () => ({ step: 'in_doubt', attempt: 0, answer }));
  setHandler(resolveUpdate, async (said) => {
    const resolved = await resolveAction(inDoubt, said);
    if (resolved.kind === 'refused') throw refusal(resolved.code, resolved.message);
    answer = resolved.answer;
    return answer;
  });

  for (let pause = FIRST_LOOK_SECONDS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_SECONDS)) {
    if (await condition(() => answer.decision !== 'in_doubt', `${pause} seconds`)) return mark(answer);
    answer = await checkDoubt(inDoubt);
    if (answer.decision !== 'in_doubt') return mark(answer);
    if (workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof governedAction>({ ...request, in_doubt: answer });
    }
  }
}
