import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  setHandler,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { EndingRun, OpenedRun, RunCall, RunEnd } from '../activities/agent-run.ts';
import type { ActionAnswer } from '../src/contracts/action.ts';
import type { AgentRunInput, AgentRunResult, RunStep } from '../src/contracts/agent-run.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { stopsRun } from '../src/domain/agent-run.ts';
import { governedAction } from './governed-action.ts';
import { holdLease, type LeaseHold, openFor } from './lease-hold.ts';
import { actionDoubted, actionEnded, attributesOfCall, makeFindable, tellMe } from './status.ts';
import { actionUnder, finishRun, openRun, rehearseRun, renewLease } from './steps.ts';

/**
 * Several governed actions under one lease (mode A of `/v1/ai/run`), in order, each a child workflow with a key of its own.
 * The run renews its lease for as long as it goes on, ends with the first action that is not made, and completes with
 * what `/v1/ai/result` then says. Where the key is held or finished already, it completes with what was found.
 */
export async function agentRun(input: AgentRunInput): Promise<AgentRunResult> {
  const { firstExecutionRunId: workflowRunId, continuedFromExecutionRunId, startTime } = workflowInfo();
  // Whoever started this may have sent anything at all: `openRun` looks at it.
  const { key, resume, ...named } = { ...input };
  const tenant = named.tenant ?? DEFAULT_TENANT;
  const resumed = continuedFromExecutionRunId === undefined ? undefined : resume;
  const hold = holdLease({ tenant, key }, { granted: resumed?.granted === true, look: renewLease });

  const minding = { runId: workflowRunId, startedAt: startTime.getTime() };
  const opening = await CancellationScope.nonCancellable(() => openFor(hold, () => openRun(input, minding)));
  makeFindable(opening);
  hold.opened(opening);
  const { held } = opening;
  if (held === undefined) {
    await hold.settled();
    return opening.found;
  }

  const { run } = opening;
  const ending: EndingRun = { tenant, key, leaseId: held.leaseId, actor: named.actor ?? null, run, workflowRunId };
  const keeping = new CancellationScope();
  void keeping.run(() => keep(hold)).catch(() => undefined);
  const steps: RunStep[] = [...(resumed?.steps ?? opening.made)];
  const result = opening.dryRun
    ? await CancellationScope.nonCancellable(() => rehearseRun(ending, opening.calls))
    : await makeAll(input, opening, hold, steps).then((how) =>
        CancellationScope.nonCancellable(() => finishRun(ending, steps, how)),
      );
  keeping.cancel();
  await hold.settled();
  return result;
}

/** Renews the lease when half of its time is over, until it has ended. */
async function keep(hold: LeaseHold): Promise<void> {
  while (hold.ended() === undefined) {
    const deadline = hold.deadline();
    const half = Math.max(1_000, (deadline - Date.now()) / 2);
    const moved = () => hold.ended() !== undefined || hold.deadline() !== deadline;
    await condition(() => moved() || hold.isChanged(), half);
    if (!moved()) await hold.look();
  }
}

/** Makes one action after the other; what has been made is added to `steps`. */
async function makeAll(input: AgentRunInput, opening: OpenedRun, hold: LeaseHold, steps: RunStep[]): Promise<RunEnd> {
  if (opening.errorCode !== undefined) return { errorCode: opening.errorCode };
  // The action that an earlier run of this workflow was waiting for may be open still, or have ended since.
  let isResumed = workflowInfo().continuedFromExecutionRunId !== undefined;
  for (const call of opening.calls.slice(steps.length)) {
    // Its time may have passed while no worker was there: another may hold the key by now.
    if (Date.now() >= hold.deadline() || hold.isChanged()) await hold.look();
    if (hold.ended() !== undefined) return {};
    if (hold.isLong() || workflowInfo().continueAsNewSuggested) await goOnAnew(input, hold, steps);
    const made = await make(call, hold, () => goOnAnew(input, hold, steps), isResumed).catch(endingOf);
    isResumed = false;
    if (made === undefined || 'end' in made) return made?.end ?? {};
    steps.push({ actionId: made.action_id, repeat: made.decision === 'dedup' });
    const errorCode = stopsRun(made);
    if (errorCode !== undefined) return { errorCode };
  }
  return {};
}

/** The history has grown long: the run goes on in a new run of its workflow, behind what it has made. */
async function goOnAnew(input: AgentRunInput, hold: LeaseHold, steps: readonly RunStep[]): Promise<never> {
  await hold.settled();
  return await continueAsNew<typeof agentRun>({ ...input, resume: { granted: hold.granted(), steps } });
}

/** The outcome of one action; undefined where the lease has ended before it. */
async function make(
  { workflowId, request }: RunCall,
  hold: LeaseHold,
  goOnAnew: () => Promise<never>,
  isResumed: boolean,
): Promise<ActionAnswer | undefined> {
  let answer: ActionAnswer | undefined;
  setHandler(actionDoubted, (doubted) => {
    answer ??= doubted;
  });
  const started = await startAction({ workflowId, request }, hold, goOnAnew, isResumed);
  if (started === undefined) return undefined;
  if ('decision' in started) return started;
  const result = started.result().then((settled) => {
    answer ??= settled;
  });
  // Whoever waits no longer, since the lease has ended, hears no more of how the action fails.
  result.catch(() => undefined);
  const isOver = () => answer !== undefined || hold.ended() !== undefined;
  await Promise.race([result, condition(() => isOver() || workflowInfo().continueAsNewSuggested)]);
  if (!isOver()) await goOnAnew();
  // What has left settles by itself; what waits, for its next attempt or for a person, has nobody left to wait for it.
  if (answer === undefined) await stop(workflowId, started.firstExecutionRunId);
  return answer;
}

const stop = (workflowId: string, runId: string): Promise<void> =>
  getExternalWorkflowHandle(workflowId, runId)
    .cancel()
    .catch(() => undefined);

const FIRST_PAUSE_SECONDS = 4;
const LONGEST_PAUSE_SECONDS = 60;

/**
 * Starts the action. Where an earlier execution of it is open still, waits for what ends that, and hears of it from there; one
 * that is in doubt is its outcome. Undefined where the lease has ended meanwhile.
 */
async function startAction(
  { workflowId, request }: RunCall,
  hold: LeaseHold,
  goOnAnew: () => Promise<never>,
  isResumed: boolean,
) {
  let isOver = false;
  setHandler(actionEnded, (ended) => {
    isOver ||= ended === workflowId;
  });
  let look = isResumed;
  let asked = false;
  for (let pause = FIRST_PAUSE_SECONDS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_SECONDS)) {
    const standing = look ? await actionUnder(request, workflowId) : null;
    if (standing !== null) return standing;
    look = true;
    try {
      return await startChild(governedAction, {
        workflowId,
        args: [request],
        // What is under way is never stopped half way: it keeps its key until it has settled.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        ...attributesOfCall(request),
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    isOver = false;
    if (!asked) asked = await askToTell(workflowId);
    const open = await actionUnder(request, workflowId);
    if (open !== null) return open;
    await condition(() => isOver || hold.ended() !== undefined || hold.isChanged(), `${pause} seconds`);
    if (hold.isChanged()) await hold.look();
    if (hold.ended() !== undefined) return undefined;
    if (workflowInfo().continueAsNewSuggested) await goOnAnew();
  }
}

/** Asks an open action to tell this run when it has ended; false where it was gone in that moment. */
function askToTell(workflowId: string): Promise<boolean> {
  const { workflowId: self, runId } = workflowInfo();
  return getExternalWorkflowHandle(workflowId)
    .signal(tellMe, { workflowId: self, runId })
    .then(
      () => true,
      () => false,
    );
}

/** How a run ends with an action that has no answer. */
function endingOf(error: unknown): { readonly end: RunEnd } {
  if (isCancellation(error)) return { end: { canceled: true } };
  if (!(error instanceof ChildWorkflowFailure)) throw error;
  const { cause } = error;
  const known = cause instanceof ApplicationFailure && cause.type ? cause.type : 'tool_error';
  return { end: { errorCode: known } };
}
