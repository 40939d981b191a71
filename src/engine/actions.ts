import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import type { Action, ActionAnswer, ActionList, ActionRequest, Resolution } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import { Refusal } from '../contracts/errors.ts';
import { actionOfRun, answerOf, asRepeat, isOpen } from '../domain/action.ts';
import { sameCall } from '../domain/admission.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import { actionWorkflowId, derivedActionWorkflowId } from '../domain/workflow-id.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ActionFilter, createActions as createActionStore, Recalled } from '../store/actions.ts';
import { repeatEntry } from '../store/admissions.ts';
import type { Recorder } from '../store/recorder.ts';
import { asUnavailable, isWorkflowNotFound } from './faults.ts';
import { type Closing, waitForClosing } from './outcome.ts';
import type { Started, Starter } from './start.ts';

/** Seconds a caller waits for the outcome where it does not say. */
const DEFAULT_WAIT_SECONDS = 30;

export interface ActionEngineDeps {
  readonly client: Client;
  readonly start: Starter;
  readonly actions: ReturnType<typeof createActionStore>;
  readonly recorder: Recorder;
  readonly metrics: Pick<Metrics, 'decided'>;
  readonly resolveOrphan: (tenant: string, actionId: string, resolution: Resolution) => Promise<unknown>;
  /** Base of the links to the Temporal UI. */
  readonly uiUrl: string;
}

/** A governed call as a route has parsed it. */
export interface GovernedCall {
  readonly tenant: string;
  readonly actor: string;
  readonly agentId: string;
  readonly tool: string;
  /** Without `run_id`. */
  readonly args: JsonObject;
  readonly runId: string | undefined;
  readonly spendUsd: number | undefined;
  readonly idempotencyKey: string | undefined;
  readonly waitSeconds: number | undefined;
}

/** A call with everything its identity is made of. */
interface Identified extends GovernedCall {
  readonly workflowId: string;
  readonly argsHash: string;
  readonly explicit: boolean;
  /** Its key is made for this one request: a repeat would not find it. */
  readonly unique: boolean;
}

export type Actions = ReturnType<typeof createActions>;

/** Governed actions: started or joined by their key, answered with their outcome. */
export function createActions({ client, start, actions, recorder, metrics, resolveOrphan, uiUrl }: ActionEngineDeps) {
  const link = (workflowId: string): string =>
    `${uiUrl}/namespaces/${client.options.namespace}/workflows/${encodeURIComponent(workflowId)}`;

  /** The remembered outcome, where there is one: no workflow is needed to say it again. */
  async function replay(call: Identified, { previous, agentEnabled }: Recalled): Promise<ActionAnswer | undefined> {
    if (previous === undefined) return undefined;
    if (call.explicit && isCurrent(previous) && !sameCall(call, previous)) throw new Refusal('idempotency_mismatch');
    // Who waits for a person is told so, unless it says that it wants to wait for the outcome.
    if (previous.status === 'waiting_approval' && call.waitSeconds === undefined) return answerOf(previous);
    if (!agentEnabled || !(previous.remembered || previous.status === 'in_doubt')) return undefined;
    return await repeat(call, answerOf(previous));
  }

  /** Says again what another call has led to, on the record. */
  async function repeat(call: Identified, first: ActionAnswer): Promise<ActionAnswer> {
    const answer = asRepeat(first);
    if (answer.decision === 'pending') return answer;
    await recorder.record(repeatEntry(call, answer), 'ai_repeats');
    metrics.decided(answer.decision, answer.policy_reason);
    return answer;
  }

  const startAction = (call: Identified): Promise<Started> => {
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
    return start({
      type: 'governedAction',
      workflowId: call.workflowId,
      input,
      requestId: randomUUID(),
      attributes: { tenant: call.tenant, agent: call.agentId, tool: call.tool },
      eager: !call.unique,
    });
  };

  /** The row of the action that a run stands for; an earlier execution of the key is none of its caller's business. */
  async function rowOf(call: Identified, runId: string) {
    const { previous } = await actions.recall(call.tenant, call);
    const isItsOwn = previous?.actionId === actionOfRun(runId) || isHeldOpen(previous?.status);
    return isItsOwn ? previous : undefined;
  }

  const isWaiting = async (call: Identified): Promise<boolean> =>
    (await actions.recall(call.tenant, call)).previous?.status === 'waiting_approval';

  async function answerOfClosing(call: Identified, closing: Closing | undefined, runId: string): Promise<ActionAnswer> {
    if (closing?.kind === 'completed') return closing.answer;
    if (closing?.kind === 'failed' && closing.type === 'tool_not_found')
      throw new Refusal('tool_not_found', { tool: call.tool });
    if (closing?.kind === 'failed' && closing.type === 'idempotency_mismatch')
      throw new Refusal('idempotency_mismatch');
    const row = await rowOf(call, runId);
    if (row !== undefined) return answerOf(row);
    if (closing !== undefined) throw new Refusal('unavailable');
    return pending(call, runId);
  }

  return {
    /**
     * Makes the call, or joins the same call that is under way, or repeats the outcome of one that was made; waits for
     * the outcome as long as the caller wants to. The caller that started it reads `executed`, every other `dedup`.
     *
     * @throws {Refusal} `tool_not_found`, `idempotency_mismatch`, `unavailable` (nothing was sent, or a repeat finds it).
     */
    async run(governed: GovernedCall): Promise<ActionAnswer> {
      const deadline = Date.now() + (governed.waitSeconds ?? DEFAULT_WAIT_SECONDS) * 1000;
      const derived = identify(governed);
      const recalled = await actions.recall(governed.tenant, derived);
      const replayed = await replay(derived, recalled);
      if (replayed !== undefined) return replayed;

      // Where the tool recognises no repeats, a call without a key of its own is always a new one.
      const unique = !derived.explicit && recalled.dedupTtl === 0;
      const call = unique
        ? { ...derived, unique, workflowId: actionWorkflowId(governed.tenant, randomUUID()) }
        : derived;
      const { started, runId } = await startAction(call);
      const execution = { workflowId: call.workflowId, runId };
      let closing = await waitForClosing(client, execution, deadline);
      if (closing?.kind === 'continued' && call.waitSeconds !== undefined && (await isWaiting(call))) {
        closing = await waitForClosing(client, { ...execution, runId: '' }, deadline);
      }
      const answer = await answerOfClosing(call, closing, runId);
      if (started) return answer;
      // Another call under the same explicit key may not be answered with this one's outcome.
      const row = call.explicit ? await rowOf(call, runId) : undefined;
      if (row !== undefined && !sameCall(call, row)) throw new Refusal('idempotency_mismatch');
      return await repeat(call, answer);
    },

    /** One action of the tenant. */
    async get(tenant: string, actionId: string): Promise<Action> {
      const action = await actions.detail(tenant, actionId, link);
      if (action === undefined) throw new Refusal('action_not_found');
      return action;
    },

    /** A page of the tenant's actions, the latest first. */
    list: (tenant: string, filter: ActionFilter): Promise<ActionList> => actions.list(tenant, filter, link),

    /** Settles an action in doubt by the word of an operator; the same word again finds it so. */
    async resolve(tenant: string, actionId: string, resolution: Resolution): Promise<Action> {
      const action = await actions.find(tenant, actionId);
      if (action === undefined) throw new Refusal('action_not_found');
      if (action.status !== 'in_doubt') {
        if (!isAs(resolution, action) || !(await actions.wasInDoubt(tenant, action)))
          throw new Refusal('action_not_in_doubt', { status: action.status });
        return await this.get(tenant, actionId);
      }
      try {
        await client.workflow
          .getHandle(action.workflowId)
          .executeUpdate<ActionAnswer, [Resolution]>('resolve', { args: [resolution] });
      } catch (error) {
        // Its workflow is gone, or its key is in the hands of a later run: the row is settled without it.
        if (!isWorkflowNotFound(error) && !(error instanceof WorkflowUpdateFailedError)) throw asUnavailable(error);
        await resolveOrphan(tenant, actionId, resolution);
      }
      const settled = await this.get(tenant, actionId);
      // Someone else was quicker and said otherwise.
      if (!isAs(resolution, settled)) throw new Refusal('action_not_in_doubt', { status: settled.status });
      return settled;
    },
  };
}

/** Its workflow goes on in a later run than the action is named for. */
const isHeldOpen = (status: string | undefined): boolean => status === 'in_doubt' || status === 'waiting_approval';

/** Whether an action has ended as the operator says. */
const isAs = ({ outcome, result = {} }: Resolution, { status, result: stored }: Pick<Action, 'status' | 'result'>) =>
  outcome === 'executed' ? status === 'executed' && fingerprint(stored) === fingerprint(result) : status === 'failed';

const isCurrent = (previous: NonNullable<Recalled['previous']>): boolean =>
  previous.remembered || previous.status === 'in_doubt' || isOpen(previous.status);

function identify(call: GovernedCall): Identified {
  const { tenant, agentId, tool, args, idempotencyKey } = call;
  const workflowId =
    idempotencyKey === undefined
      ? derivedActionWorkflowId(tenant, { agent_id: agentId, tool, args })
      : actionWorkflowId(tenant, idempotencyKey);
  return { ...call, workflowId, argsHash: fingerprint(args), explicit: idempotencyKey !== undefined, unique: false };
}

/** The caller's patience ran out before the action was even ruled on. */
const pending = (call: Identified, runId: string): ActionAnswer => ({
  ok: true,
  allowed: true,
  decision: 'pending',
  policy_reason: 'ok',
  risk_level: 'low',
  result: null,
  action_id: actionOfRun(runId),
  workflow_id: call.workflowId,
  run_id: call.runId ?? actionOfRun(runId),
  spend_usd: 0,
  policy_version: null,
});
