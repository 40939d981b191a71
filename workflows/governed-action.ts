import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Admission } from '../activities/admission.ts';
import type { ActionAnswer, ActionRequest, Doubt, WorkflowRun } from '../src/contracts/action.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { actionOfRun } from '../src/domain/action.ts';
import { takeApprovals, waitForPerson } from './approval.ts';
import type { ActionProgress, Course } from './course.ts';
import { resolution, takeResolutions } from './doubt.ts';
import { refusal } from './refusal.ts';
import { actionDoubted, actionEnded, makeFindable, mark, rowChanged, tellMe } from './status.ts';
import { abandonAction, admit, callToolWithin, lookAtAction } from './steps.ts';

export const actionState = defineQuery<ActionProgress>('state');

/**
 * One governed call: ruled on, held, recorded, made, settled. Its workflow ID is the idempotency key; while it is open
 * the key is taken. A denial is a result, an unknown tool a failure (`tool_not_found`).
 */
export async function governedAction(request: ActionRequest): Promise<ActionAnswer> {
  const course = follow(request);
  const { continuedFromExecutionRunId } = workflowInfo();
  const doubt = continuedFromExecutionRunId === undefined ? undefined : request.in_doubt;
  const settled = doubt === undefined ? decideAndCall(course) : goOnDoubting(course, doubt);
  const answer = await settled.catch(async (error: unknown) => {
    if (error instanceof ApplicationFailure) await takeLeave(course);
    throw error;
  });
  await takeLeave(course);
  return mark(answer);
}

/** Before it closes: whoever asked for something is answered, whoever waits for the end is told. */
const takeLeave = ({ listeners }: Course): Promise<void> =>
  CancellationScope.nonCancellable(async () => {
    await condition(allHandlersFinished);
    await tellAll(listeners);
  });

/** Takes what may be said to the action from its first task on, whatever it is at. */
function follow(request: ActionRequest): Course {
  let progress: ActionProgress = { step: 'admit', attempt: 0 };
  // Whoever started this may have sent anything at all: `admit` looks at it.
  const { tenant = DEFAULT_TENANT, in_doubt } = { ...request };
  const course: Course = {
    underway: { tenant, actionId: actionOfRun(workflowInfo().firstExecutionRunId) },
    request,
    listeners: [...(in_doubt?.waiting ?? [])],
    changed: false,
    answering: false,
    show: (next) => {
      progress = next;
    },
  };
  setHandler(actionState, () => progress);
  setHandler(rowChanged, () => {
    course.changed = true;
  });
  setHandler(tellMe, (run) => {
    // Nobody can be told who cannot be read.
    if (typeof run?.workflowId !== 'string' || typeof run.runId !== 'string') return;
    const isKnown = course.listeners.some(({ workflowId }) => workflowId === run.workflowId);
    if (!isKnown) course.listeners.push(run);
  });
  takeApprovals(course);
  takeResolutions(course);
  return course;
}

async function decideAndCall(course: Course): Promise<ActionAnswer> {
  const {
    request,
    underway: { actionId },
  } = course;
  const { workflowId, startTime } = workflowInfo();
  const identity = { actionId, workflowId, startedAt: startTime.getTime() };
  for (;;) {
    // Never canceled half way: a row that says `running` has a workflow that ends it.
    const admission = await CancellationScope.nonCancellable(() => admit(request, identity));
    makeFindable(admission);
    if (admission.kind === 'refused') throw refusal(admission.code, admission.message);
    if (admission.kind === 'answer') return admission.answer;
    if (admission.kind === 'call') return await call(course, admission);
    course.show({ step: 'waiting_approval', attempt: 0, answer: mark(admission.answer) });
    await waitForPerson(course);
  }
}

/** Makes one attempt after the other, until the action is settled, or in doubt and then resolved. */
async function call(course: Course, { timeoutMs, lane }: Admission & { kind: 'call' }): Promise<ActionAnswer> {
  const { underway, request } = course;
  const carried = { timeoutMs, ...(lane !== undefined && { lane: 'queue' as const }) };
  for (let n = 1; ; n += 1) {
    course.show({ step: 'callTool', attempt: n });
    const callTool = callToolWithin(underway.tenant, timeoutMs, lane && (n === 1 ? lane : 'queue'));
    const isCanceled = CancellationScope.current().consideredCancelled;
    const report = await CancellationScope.nonCancellable(() =>
      isCanceled ? abandonAction(underway) : callTool({ ...underway, n, tool: request.tool }),
    );
    if (report.kind === 'settled') return report.answer;
    if (report.kind === 'in_doubt') {
      mark(report.answer);
      if (course.request.of_run) await tellRun(report.answer);
      return await goOnDoubting(course, { since: Date.now(), attempts: n, ...carried, pause: 0, waiting: [] });
    }
    course.show({ step: 'retry', attempt: n });
    const ended = await pause(course, report.delayMs);
    if (ended?.decision === 'in_doubt')
      return await goOnDoubting(course, { since: Date.now(), attempts: n, ...carried, pause: 0, waiting: [] });
    if (ended !== undefined) return ended;
  }
}

/** Nothing but proof ends a doubt: canceling its workflow does not. */
async function goOnDoubting(course: Course, doubt: Doubt): Promise<ActionAnswer> {
  const end = await CancellationScope.nonCancellable(() => resolution(course, doubt));
  if (end.kind === 'resolved') return end.answer;
  return await continueAsNew<typeof governedAction>({ ...course.request, in_doubt: end.doubt });
}

/** Tells the run that waits for this action; a run that has ended needs to hear nothing. */
async function tellRun(doubted: ActionAnswer): Promise<void> {
  const { parent } = workflowInfo();
  if (parent === undefined) return;
  const run = getExternalWorkflowHandle(parent.workflowId, parent.runId);
  await CancellationScope.nonCancellable(() => run.signal(actionDoubted, doubted)).catch(() => undefined);
}

async function tellAll(listeners: readonly WorkflowRun[]): Promise<void> {
  const { workflowId: self } = workflowInfo();
  for (const { workflowId, runId } of listeners) {
    await getExternalWorkflowHandle(workflowId, runId)
      .signal(actionEnded, self)
      .catch(() => undefined);
  }
}

/**
 * Waits this long, or until the workflow is canceled. Told that its row has changed, it looks there: the action may have ended
 * meanwhile, and is then the answer.
 */
async function pause(course: Course, milliseconds: number): Promise<ActionAnswer | undefined> {
  const until = Date.now() + milliseconds;
  course.changed = false;
  try {
    while (await condition(() => course.changed, Math.max(1, until - Date.now()))) {
      course.changed = false;
      const standing = await CancellationScope.nonCancellable(() => lookAtAction(course.underway));
      if (standing.decision !== 'pending') return standing;
    }
  } catch (error) {
    if (!isCancellation(error)) throw error;
  }
  return undefined;
}
