import type { ActionAnswer } from '../../contracts/action.ts';
import { Refusal } from '../../contracts/errors.ts';
import { actionOfRun } from '../../domain/action.ts';
import { denialOf, type Facts, refusedAhead } from '../../domain/admission.ts';
import type { Judge } from '../../judge/judge.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { createActions, Recalled } from '../../store/actions.ts';
import type { createAdmissions } from '../../store/admissions.ts';
import { isDatabaseUnavailable } from '../../store/database.ts';
import { newRunId } from '../run-id.ts';
import type { IdentifiedCall } from './call.ts';

export interface DenialDeps {
  readonly actions: Pick<ReturnType<typeof createActions>, 'recall'>;
  readonly admissions: ReturnType<typeof createAdmissions>;
  readonly judge: Pick<Judge, 'judgement'>;
  readonly metrics: Pick<Metrics, 'decided'>;
}

export type Denials = ReturnType<typeof createDenials>;

/** What is known of a call before anything is started, and what needs no workflow to be said. */
export const createDenials = ({ actions, admissions, judge, metrics }: DenialDeps) => ({
  /** What a call is decided by before anything is started; a policy that cannot be read is found out by the workflow. */
  async recall(call: IdentifiedCall): Promise<{ recalled: Recalled; facts: Facts | undefined }> {
    try {
      const facts = await admissions.facts(call);
      const { killed, agentEnabled, previous, tool } = facts;
      return { recalled: { stopped: killed || !agentEnabled, previous, dedupTtl: tool?.dedupTtl ?? null }, facts };
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error;
      return { recalled: await actions.recall(call.tenant, call), facts: undefined };
    }
  },

  /**
   * A denial opens no workflow: it is one transaction, on the record. Undefined where the call is not denied ahead.
   *
   * @throws {Refusal} `tool_not_found`; `unavailable` where too many calls of the tenant wait to be judged.
   */
  async refuse(call: IdentifiedCall, known: Facts): Promise<ActionAnswer | undefined> {
    // Under a key that is made for this one request there is nothing to remember.
    const { previous: _other, ...facts } = known;
    let asked: Facts = call.unique ? { ...facts, previous: undefined } : known;
    let ruling = refusedAhead(call, asked);
    if (ruling?.kind === 'unjudged') {
      asked = { ...asked, judged: await judge.judgement(call.tenant, call, asked) };
      ruling = refusedAhead(call, asked);
    }
    if (ruling === undefined || ruling.kind === 'unjudged') return undefined;
    const { tenant, workflowId, agentId, tool, args, argsHash, spendUsd, actor } = call;
    const actionId = actionOfRun(newRunId());
    const runId = call.runId ?? actionId;
    const action = { tenant, actionId, workflowId, agentId, tool, args, argsHash, spendUsd, runId, ofRun: null, actor };
    if (ruling.kind === 'unknown_tool') {
      await admissions.refuseUnknown(action);
      metrics.decided('refused', 'tool_not_found');
      throw new Refusal('tool_not_found', { tool });
    }
    await admissions.refuse(action, asked, ruling);
    metrics.decided('blocked', ruling.reason);
    return denialOf(action, ruling, known.policyVersion);
  },
});
