import { randomUUID } from 'node:crypto';
import type { ActionAnswer, ActionRequest } from '../../contracts/action.ts';
import { isRefusalCode, Refusal } from '../../contracts/errors.ts';
import { actionOfRun, answerOf, asRepeat, isOpen } from '../../domain/action.ts';
import { sameCall } from '../../domain/admission.ts';
import { newsOf, type Outcome } from '../../domain/outcome.ts';
import type { createAccepted } from '../../store/accepted.ts';
import type { createActions } from '../../store/actions.ts';
import { isDatabaseUnavailable } from '../../store/database.ts';
import { unknownIfAway } from '../faults.ts';
import type { Hearing, Outcomes } from '../outcomes.ts';
import type { Reach } from '../reach.ts';
import type { Started, Starter } from '../start.ts';
import { type IdentifiedCall, undecided } from './call.ts';

/**
 * How long a call is started again: a key that is just being given free, or a clock that was learned, needs a second start. Who is
 * ready to wait for the outcome waits longer for that too: where workers are busy a workflow closes late.
 */
const START_PATIENCE_MS = 4_000;
const LONGEST_START_PATIENCE_MS = 15_000;
const LONGEST_PAUSE_MS = 500;

export interface CallDeps {
  readonly start: Starter;
  readonly outcomes: Outcomes;
  readonly reach: Reach;
  readonly actions: ReturnType<typeof createActions>;
  readonly accepted: ReturnType<typeof createAccepted>;
  /** Says again what another call has led to, on the record. */
  readonly repeat: (call: IdentifiedCall, first: ActionAnswer) => Promise<ActionAnswer>;
}

/** A call with what was known of its key when it was asked for. */
export interface KnownCall extends IdentifiedCall {
  /** The latest action of the key, where it had ended by then. */
  readonly endedBefore: string | undefined;
}

/** Calls that need a workflow: started or joined, and waited for. */
export function createCalls({ start, outcomes, reach, actions, accepted, repeat }: CallDeps) {
  const startAction = (call: IdentifiedCall, until: number): Promise<Started> => {
    const input: ActionRequest = {
      tenant: call.tenant,
      agent_id: call.agentId,
      tool: call.tool,
      args: call.args,
      actor: call.actor,
      ...(call.spendUsd !== undefined && { spend_usd: call.spendUsd }),
      ...(call.runId !== undefined && { run_id: call.runId }),
      ...(call.idempotencyKey !== undefined && { idempotency_key: call.idempotencyKey }),
    };
    const action = {
      type: 'governedAction',
      tenant: call.tenant,
      workflowId: call.workflowId,
      input,
      requestId: randomUUID(),
      attributes: { tenant: call.tenant, agent: call.agentId, tool: call.tool },
      eager: !call.unique,
    };
    return start(action, until);
  };

  /**
   * The action that an open workflow stands for. One that is settled, gave its key free, and whose workflow has not heard of it,
   * is told to look: then there is none, and another start makes its own.
   */
  async function joined(call: KnownCall, runId: string): Promise<string | undefined> {
    const latest = await actions.latest(call.tenant, call.workflowId);
    if (latest !== undefined && isOpen(latest.status)) return latest.actionId;
    // What was settled while this caller was asking is its outcome too; what had been before, and gave its key free, is not.
    if (latest && (latest.status === 'in_doubt' || latest.remembered || latest.actionId !== call.endedBefore)) {
      // Its news may have come before anybody listened.
      outcomes.deliver(newsOf(latest));
      return latest.actionId;
    }
    const open = latest === undefined ? runId : await reach.firstRunOf(call.workflowId);
    if (open === undefined) return undefined;
    // What was never admitted is not among the executions of its key: once it has ended it binds nobody either.
    const own = await actions.find(call.tenant, actionOfRun(open));
    if (own === undefined || isOpen(own.status)) return actionOfRun(open);
    await reach.nudge(call.workflowId);
    return undefined;
  }

  /** Starts or joins, and waits; undefined where another start is needed. From the start on nothing is refused any more. */
  async function startAndWait(
    call: KnownCall,
    hearing: Hearing,
    { until, deadline }: { readonly until: number; readonly deadline: number },
  ): Promise<{ started: boolean; actionId: string; outcome: Outcome | undefined } | undefined> {
    const { started, runId } = await startAction(call, until);
    const actionId = started ? actionOfRun(runId) : await joined(call, runId).catch(unknownIfAway);
    if (actionId === undefined) return undefined;
    const isWanted = (outcome: Outcome) =>
      outcome.kind === 'refused' || outcome.answer.decision !== 'pending' || call.waitSeconds === undefined;
    const outcome = await hearing.until(actionId, isWanted, deadline, call.signal);
    // It was started in time, and says that it was not: our idea of the time was wrong, and is mended with this start.
    if (outcome?.kind === 'refused' && outcome.code === 'not_begun') return undefined;
    return { started, actionId, outcome };
  }

  /** What is known of an accepted call when its caller waits no longer. */
  async function pendingAnswer(call: IdentifiedCall, actionId: string): Promise<ActionAnswer> {
    const promised = { ...call, actionId, runId: call.runId ?? actionId };
    // Nobody is there any more to be told.
    if (call.signal?.aborted) return undecided(promised);
    try {
      const row = await actions.find(call.tenant, actionId);
      if (row !== undefined) return answerOf(row);
      await accepted.note(call.tenant, promised);
      const known = await accepted.find(call.tenant, actionId);
      // It was ruled on in this moment: an outcome that there was before, or a refusal.
      const previous = known?.answeredBy && (await actions.find(call.tenant, known.answeredBy));
      if (previous) return asRepeat(answerOf(previous));
      if (known?.refused && isRefusalCode(known.refused)) throw new Refusal(known.refused, { tool: call.tool });
    } catch (error) {
      // It is accepted all the same: its workflow is open.
      if (!isDatabaseUnavailable(error)) throw error;
    }
    return undecided(promised);
  }

  async function answerTo(call: IdentifiedCall, actionId: string, outcome: Outcome | undefined): Promise<ActionAnswer> {
    if (outcome?.kind === 'answer') return outcome.answer;
    if (outcome === undefined) return await pendingAnswer(call, actionId);
    if (outcome.code === 'tool_not_found') throw new Refusal('tool_not_found', { tool: call.tool });
    if (outcome.code === 'not_begun') throw new Refusal('unavailable');
    throw new Refusal(outcome.code);
  }

  /** What a caller is told of a call that another has begun. */
  async function join(call: IdentifiedCall, answer: ActionAnswer): Promise<ActionAnswer> {
    try {
      // Another call under the same explicit key may not be answered with this one's outcome.
      const row = call.explicit ? await actions.find(call.tenant, answer.action_id) : undefined;
      if (row !== undefined && !sameCall(call, row)) throw new Refusal('idempotency_mismatch');
      return await repeat(call, answer);
    } catch (error) {
      return unknownIfAway(error);
    }
  }

  /** Makes the call, or joins the one that is under way, and waits for its outcome until `deadline` (unix milliseconds). */
  async function make(call: KnownCall, deadline: number): Promise<ActionAnswer> {
    // Before the start: what is told from then on is heard.
    const hearing = outcomes.listen(call.tenant, call.workflowId);
    try {
      const until = Math.max(
        Date.now() + START_PATIENCE_MS,
        Math.min(deadline, Date.now() + LONGEST_START_PATIENCE_MS),
      );
      for (let pause = 50; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
        const heard = await startAndWait(call, hearing, { until, deadline });
        if (heard === undefined) {
          if (Date.now() + pause > until) throw new Refusal('unavailable');
          await new Promise((resolve) => setTimeout(resolve, pause));
          continue;
        }
        const { started, actionId, outcome } = heard;
        const answer = await answerTo(call, actionId, outcome);
        // Who has hung up is told nothing, so there is nothing to be said again.
        return started || call.signal?.aborted ? answer : await join(call, answer);
      }
    } finally {
      hearing.close();
    }
  }

  return { make };
}
