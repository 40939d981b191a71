import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Action, ActionAnswer, ActionList, Resolution } from '../../contracts/action.ts';
import { Refusal } from '../../contracts/errors.ts';
import { answerOf, asRepeat, isOpen, runOfAction } from '../../domain/action.ts';
import { sameCall } from '../../domain/admission.ts';
import { fingerprint } from '../../domain/fingerprint.ts';
import { actionWorkflowId } from '../../domain/workflow-id.ts';
import type { AcceptedAction } from '../../store/accepted.ts';
import type { ActionFilter, Recalled } from '../../store/actions.ts';
import { repeatEntry } from '../../store/admissions.ts';
import type { Recorder } from '../../store/recorder.ts';
import { unknownIfAway } from '../faults.ts';
import { type GovernedCall, type IdentifiedCall, identify, notYet } from './call.ts';
import { type CallDeps, createCalls } from './calls.ts';
import { createDenials, type DenialDeps } from './denials.ts';
import { createLiveness, type LivenessDeps } from './liveness.ts';

/** Seconds a caller waits for the outcome where it does not say. */
const DEFAULT_WAIT_SECONDS = 30;

export interface ActionEngineDeps extends Omit<CallDeps, 'repeat'>, DenialDeps, LivenessDeps {
  readonly actions: CallDeps['actions'];
  readonly outcomes: CallDeps['outcomes'];
  readonly reach: CallDeps['reach'];
  readonly client: Client;
  readonly recorder: Recorder;
  /** Settles an action in doubt by the word of an operator. */
  readonly resolveRow: (
    tenant: string,
    actionId: string,
    resolution: Resolution,
  ) => Promise<
    | { readonly kind: 'resolved'; readonly settled: boolean }
    | { readonly kind: 'refused'; readonly message: string; readonly underWay?: true }
  >;
  /** Base of the links to the Temporal UI. */
  readonly uiUrl: string;
}

export type Actions = ReturnType<typeof createActions>;

/** Governed actions: started or joined by their key, answered with their outcome. */
export function createActions(deps: ActionEngineDeps) {
  const { client, reach, actions, accepted, recorder, metrics, resolveRow, uiUrl } = deps;
  const { isThere } = createLiveness(deps);
  const denials = createDenials(deps);
  const calls = createCalls({ ...deps, repeat });
  const link = (workflowId: string): string =>
    `${uiUrl}/namespaces/${client.options.namespace}/workflows/${encodeURIComponent(workflowId)}`;

  /** The remembered outcome, where there is one: no workflow is needed to say it again. */
  async function replay(call: IdentifiedCall, { previous, stopped }: Recalled): Promise<ActionAnswer | undefined> {
    if (previous === undefined) return undefined;
    if (call.explicit && isCurrent(previous) && !sameCall(call, previous)) throw new Refusal('idempotency_mismatch');
    // Who waits for a person is told so, unless it says that it wants to wait for the outcome.
    if (
      previous.status === 'waiting_approval' &&
      call.waitSeconds === undefined &&
      (await isThere(call.tenant, previous))
    )
      return answerOf(previous);
    if (stopped || !(previous.remembered || previous.status === 'in_doubt')) return undefined;
    return await repeat(call, answerOf(previous));
  }

  /** Says again what another call has led to, on the record. */
  async function repeat(call: IdentifiedCall, first: ActionAnswer): Promise<ActionAnswer> {
    const answer = asRepeat(first);
    if (answer.decision === 'pending') return answer;
    await recorder.record(repeatEntry(call, answer), 'ai_repeats');
    metrics.decided(answer.decision, answer.policy_reason);
    return answer;
  }

  return {
    /**
     * Makes the call, or joins the same call that is under way, or repeats the outcome of one that was made; waits for
     * the outcome as long as the caller wants to. The caller that started it reads `executed`, every other `dedup`. From the
     * moment it is accepted it is pending at the worst: a lost wait is no failure.
     *
     * @throws {Refusal} `tool_not_found`, `idempotency_mismatch`, `unavailable` (nothing happened and nothing will),
     *   `outcome_unknown` (a repeat finds what there is).
     */
    async run(governed: GovernedCall): Promise<ActionAnswer> {
      const deadline = Date.now() + (governed.waitSeconds ?? DEFAULT_WAIT_SECONDS) * 1000;
      const derived = identify(governed);
      const { recalled, facts } = await denials.recall(derived);
      const replayed = await replay(derived, recalled);
      if (replayed !== undefined) return replayed;

      // Where the tool recognises no repeats, a call without a key of its own is always a new one.
      const unique = !derived.explicit && recalled.dedupTtl === 0;
      const call = unique
        ? { ...derived, unique, workflowId: actionWorkflowId(governed.tenant, randomUUID()) }
        : derived;
      return (
        (facts && (await denials.refuse(call, facts))) ??
        (await calls.make({ ...call, endedBefore: endedIn(recalled) }, deadline))
      );
    },

    /** One action of the tenant. */
    async get(tenant: string, actionId: string): Promise<Action> {
      const row = await actions.find(tenant, actionId);
      if (row !== undefined && isOpen(row.status)) await isThere(tenant, row);
      const action = row && (await actions.detail(tenant, actionId, link));
      if (action !== undefined) return action;
      const promised = await accepted.find(tenant, actionId);
      if (promised === undefined) throw new Refusal('action_not_found');
      // It was made before: its own id leads to what it was answered with.
      if (promised.answeredBy !== null) return await this.get(tenant, promised.answeredBy);
      if (promised.refused !== null || (await isComing(promised))) return notYet(promised, link);
      throw new Refusal('action_not_found');
    },

    /** A page of the tenant's actions, the latest first. */
    list: (tenant: string, filter: ActionFilter): Promise<ActionList> => actions.list(tenant, filter, link),

    /**
     * Settles an action in doubt by the word of an operator; the same word again finds it so. The row decides, and it is this
     * very action's: its workflow is told, and finds out in any case.
     */
    async resolve(tenant: string, actionId: string, resolution: Resolution): Promise<Action> {
      const action = await actions.find(tenant, actionId);
      if (action === undefined) throw new Refusal('action_not_found');
      if (action.status !== 'in_doubt') {
        if (!isAs(resolution, action) || !(await actions.wasInDoubt(tenant, action)))
          throw new Refusal('action_not_in_doubt', { status: action.status });
        return await this.get(tenant, actionId);
      }
      const resolved = await resolveRow(tenant, actionId, resolution);
      if (resolved.kind === 'refused' && resolved.underWay)
        throw new Refusal('action_not_in_doubt', { status: action.status, reason: resolved.message });
      if (resolved.kind === 'resolved' && resolved.settled) void reach.nudge(action.workflowId);
      // It is settled by now, whether or not that can be read.
      const settled = await this.get(tenant, actionId).catch(unknownIfAway);
      // Someone else was quicker and said otherwise.
      if (!isAs(resolution, settled)) throw new Refusal('action_not_in_doubt', { status: settled.status });
      return settled;
    },
  };

  /** Whether an accepted call may still begin; one whose workflow was ended before anything was decided is forgotten. */
  async function isComing({ actionId, workflowId }: AcceptedAction): Promise<boolean> {
    const standing = await reach.standingOf({ workflowId, runId: runOfAction(actionId) });
    if (standing === 'gone') await accepted.forget(actionId);
    return standing !== 'gone';
  }
}

/** Whether an action has ended as the operator says. */
const isAs = ({ outcome, result = {} }: Resolution, { status, result: stored }: Pick<Action, 'status' | 'result'>) =>
  outcome === 'executed' ? status === 'executed' && fingerprint(stored) === fingerprint(result) : status === 'failed';

/** The action that a key had come to the end of when it was asked for. */
const endedIn = ({ previous }: Recalled): string | undefined =>
  previous === undefined || isOpen(previous.status) ? undefined : previous.actionId;

/** Whether what is known of a key still binds whoever uses it. */
const isCurrent = (previous: NonNullable<Recalled['previous']>): boolean =>
  previous.remembered || previous.status === 'in_doubt' || isOpen(previous.status);
