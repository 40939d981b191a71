import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  continueAsNew,
  isCancellation,
  ParentClosePolicy,
  setHandler,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { EndingRun, OpenedRun, RunCall, RunEnd } from '../activities/agent-run.ts';
import type { ActionAnswer } from '../src/contracts/action.ts';
import type { AgentRunInput, AgentRunResult, RunStep } from '../src/contracts/agent-run.ts';
import { DEFAULT_TENANT } from '../src/contracts/tenant.ts';
import { stopsRun } from '../src/domain/agent-run.ts';
import { governedAction } from './governed-action.ts';
import { holdLease, type LeaseHold } from './lease-hold.ts';
import { refusal } from './refusal.ts';
import { actionDoubted, attributesOfCall } from './status.ts';
import { finishRun, openRun, rehearseRun, renewLease } from './steps.ts';

/**
 * Several governed actions under one lease (mode A of `/v1/ai/run`), in order, each a child workflow with a key of its own.
 * The run renews its lease for as long as it goes on, ends with the first action that is not made, and completes with
 * what `/v1/ai/result` then says. Where the key is held or finished already, it completes with what was found.
 */
export async function agentRun(input: AgentRunInput): Promise<AgentRunResult> {
  const { firstExecutionRunId: workflowRunId, continuedFromExecutionRunId } = workflowInfo();
  // Whoever started this may have sent anything at all: `openRun` looks at it.
  const { key, resume, ...named } = { ...input };
  const tenant = named.tenant ?? DEFAULT_TENANT;
  const resumed = continuedFromExecutionRunId === undefined ? undefined : resume;
  const hold = holdLease({ tenant, key }, { granted: resumed?.granted === true, look: renewLease });

  const opening = await CancellationScope.nonCancellable(() => openRun(input, workflowRunId));
  if (opening.kind === 'invalid') throw refusal('validation_error', opening.message);
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
  const steps: RunStep[] = [...(resumed?.steps ?? [])];
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
    const changed = await condition(() => hold.ended() !== undefined || hold.deadline() !== deadline, half);
    if (!changed) await hold.look();
  }
}

/** Makes one action after the other; what has been made is added to `steps`. */
async function makeAll(input: AgentRunInput, opening: OpenedRun, hold: LeaseHold, steps: RunStep[]): Promise<RunEnd> {
  for (const call of opening.calls.slice(steps.length)) {
    // Its time may have passed while no worker was there: another may hold the key by now.
    if (Date.now() >= hold.deadline()) await hold.look();
    if (hold.ended() !== undefined) return {};
    if (hold.isLong() || workflowInfo().continueAsNewSuggested) {
      await hold.settled();
      await continueAsNew<typeof agentRun>({ ...input, resume: { granted: hold.granted(), steps } });
    }
    const made = await make(call, hold).catch(endingOf);
    if (made === undefined || 'end' in made) return made?.end ?? {};
    steps.push({ actionId: made.action_id, repeat: made.decision === 'dedup' });
    const errorCode = stopsRun(made);
    if (errorCode !== undefined) return { errorCode };
  }
  return {};
}

/** The outcome of one action; undefined where the lease has ended before it, and the action goes on by itself. */
async function make({ workflowId, request }: RunCall, hold: LeaseHold): Promise<ActionAnswer | undefined> {
  let answer: ActionAnswer | undefined;
  setHandler(actionDoubted, (doubted) => {
    answer ??= doubted;
  });
  const child = await startAction(workflowId, request);
  const result = child.result().then((settled) => {
    answer ??= settled;
  });
  // Whoever waits no longer, since the lease has ended, hears no more of how the action fails.
  result.catch(() => undefined);
  await Promise.race([result, condition(() => answer !== undefined || hold.ended() !== undefined)]);
  return answer;
}

/** Starts the action; where its key is in use already, once that call has ended. */
async function startAction(workflowId: string, request: RunCall['request']) {
  for (;;) {
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
      await sleep('1 second');
    }
  }
}

/** How a run ends with an action that has no answer. */
function endingOf(error: unknown): { readonly end: RunEnd } {
  if (isCancellation(error)) return { end: { canceled: true } };
  if (!(error instanceof ChildWorkflowFailure)) throw error;
  const { cause } = error;
  const known = cause instanceof ApplicationFailure && cause.type ? cause.type : 'tool_error';
  return { end: { errorCode: known } };
}
