import { LRUCache } from 'lru-cache';
import { type ActionAnswer, ActionRequest, type Lane } from '../src/contracts/action.ts';
import { Refusal } from '../src/contracts/errors.ts';
import type { Lanes } from '../src/dispatch/lanes.ts';
import { type ActionRecord, answerOf, asRepeat, whereToLook } from '../src/domain/action.ts';
import { denialOf, type Facts, type Judgement, type Ruling, rule } from '../src/domain/admission.ts';
import { fingerprint } from '../src/domain/fingerprint.ts';
import type { News, RefusedCall } from '../src/domain/outcome.ts';
import { mayBeAction } from '../src/domain/workflow-id.ts';
import type { Judge } from '../src/judge/judge.ts';
import type { Metrics } from '../src/metrics/metrics.ts';
import type { Admitted, createAdmissions, NewAction } from '../src/store/admissions.ts';
import type { OfRun } from '../src/store/facts.ts';
import { parseInput } from './faults.ts';
import { type Findable, type FindableDeps, foundBy } from './found-by.ts';
import { isToBeRepeated } from './tries.ts';

/** What its workflow is to an action. */
export interface ActionIdentity {
  readonly actionId: string;
  readonly workflowId: string;
  /** Unix milliseconds by Temporal's clock, as the workflow was started. */
  readonly startedAt: number;
}

type DescribedAction = Omit<NewAction, 'argsHash'>;

export type Admission = Findable & Next;

type Next =
  /** Go on; an attempt may take this long. */
  | { readonly kind: 'call'; readonly tenant: string; readonly timeoutMs: number; readonly lane?: Lane }
  /** It is over; `told`: it was before this was asked, and whoever waited has heard of it. */
  | { readonly kind: 'answer'; readonly answer: ActionAnswer; readonly told?: true }
  /** Wait for a person. */
  | { readonly kind: 'approval'; readonly tenant: string; readonly answer: ActionAnswer }
  | Refused;

interface Refused {
  readonly kind: 'refused';
  readonly code: RefusedCall;
  readonly message?: string;
}

/** Who hears of what becomes of a call. */
export interface Telling {
  /** Tells who waits. */
  tell(news: News): void;
  /** The same for an action that has come to its end or into doubt, which is counted too. */
  ended(action: ActionRecord): void;
}

export interface AdmissionDeps extends FindableDeps {
  readonly admissions: ReturnType<typeof createAdmissions>;
  readonly judge: Pick<Judge, 'judgement'>;
  readonly metrics: Pick<Metrics, 'decided'>;
  readonly outcomes: Telling;
  readonly lanes: Pick<Lanes, 'choose'>;
}

/** How often an action is judged anew because its policy, its price or the hour has changed under it, before it is tried again later. */
const MAX_ROUNDS = 4;
/** Agents whose last action had conditions: the next is judged before its ledger is locked for the first time. */
const MAX_AGENTS = 10_000;

interface Ruled extends Admitted {
  readonly ruling: Exclude<Ruling, { kind: 'unjudged' }>;
}

/** The step before the call: policy, budget hold and audit line, all in one transaction (docs/adr/0002). */
export const createAdmissionActivities = ({
  admissions,
  judge,
  metrics,
  outcomes,
  lanes,
  knowsAttributes,
}: AdmissionDeps) => {
  const placed = (admission: Admission, { tenant, tool, actionId }: DescribedAction): Admission =>
    admission.kind === 'call' ? { ...admission, lane: lanes.choose(tenant, tool, actionId) } : admission;

  const conditioned = new LRUCache<string, true>({ max: MAX_AGENTS });

  /** Judges before the transaction and not in it: locks are held for as long as PostgreSQL needs, whatever a condition does. */
  async function admitted(action: NewAction): Promise<Ruled> {
    const { tenant } = action;
    const agent = JSON.stringify([tenant, action.agentId]);
    const judged = (facts: Facts) => judge.judgement(tenant, action, facts);
    let judgement: Judgement | undefined = conditioned.has(agent)
      ? await judged(await admissions.facts(action))
      : undefined;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const { ruling, facts, orphan } = await admissions.admit(action, judgement, (known) => rule(action, known));
      if (orphan !== undefined) outcomes.ended(orphan);
      if (ruling.kind !== 'unjudged') return { ruling, facts, orphan };
      conditioned.set(agent, true);
      judgement = await judged(facts);
    }
    throw new Refusal('unavailable', { reason: 'the policy changes all the time' });
  }

  async function ruleOn(described: DescribedAction): Promise<Admission> {
    const action = { ...described, argsHash: fingerprint(described.args) };
    const { ruling, facts } = await admitted(action);
    switch (ruling.kind) {
      case 'allow':
        return callOf(described, facts);
      case 'known':
        return known(ruling.own, described, facts);
      case 'approval':
        metrics.decided('pending', 'approval_required');
        return {
          kind: 'approval',
          tenant: described.tenant,
          answer: undecided(described, ruling, facts.policyVersion),
        };
      case 'replay':
      case 'in_doubt': {
        const answer = asRepeat(answerOf(ruling.previous));
        metrics.decided(answer.decision, answer.policy_reason);
        return { kind: 'answer', answer };
      }
      case 'mismatch':
        return { kind: 'refused', code: 'idempotency_mismatch' };
      case 'run_over':
        return ended(await admissions.fail(action, 'run_over'));
      case 'unknown_tool':
        if (facts.own !== undefined) return ended(await admissions.fail(action, 'tool_deleted'));
        metrics.decided('refused', 'tool_not_found');
        return { kind: 'refused', code: 'tool_not_found' };
      case 'deny': {
        const answer = denialOf(described, ruling, facts.policyVersion);
        metrics.decided(answer.decision, answer.policy_reason);
        return { kind: 'answer', answer };
      }
    }
  }

  const ended = (row: ActionRecord): Admission => {
    const answer = answerOf(row);
    metrics.decided(answer.decision, answer.policy_reason);
    return { kind: 'answer', answer };
  };

  /** What fails in the same way each time is settled as failed, on the record: nobody waits for it to be mended. */
  async function settled(described: DescribedAction): Promise<Admission> {
    try {
      return await ruleOn(described);
    } catch (error) {
      if (isToBeRepeated(error)) throw error;
      return ended(await admissions.fail({ ...described, argsHash: fingerprint(described.args) }, 'step_failed'));
    }
  }

  return {
    /** Rules on the action and keeps the ruling; asked again for the same action, it says the same. */
    async admit(request: unknown, identity: ActionIdentity): Promise<Admission> {
      const described = describe(request, identity);
      const admission = 'kind' in described ? described : placed(await settled(described), described);
      const { workflowId, actionId } = identity;
      if (admission.kind === 'refused')
        outcomes.tell({ workflowId, actionId, outcome: { kind: 'refused', code: admission.code } });
      // What has ended otherwise meanwhile was told by whoever ended it, to those who were waiting then.
      else if (admission.kind === 'approval' || (admission.kind === 'answer' && !admission.told))
        outcomes.tell({ workflowId, actionId, outcome: { kind: 'answer', answer: admission.answer } });
      if ('kind' in described) return admission;
      const { tenant, agentId: agent, tool } = described;
      return { ...admission, ...foundBy({ knowsAttributes }, request, { tenant, agent, tool }) };
    },
  };
};

/** Said again, where a repeated activity asks for the same action. */
function known(own: ActionRecord, described: DescribedAction, facts: Facts): Admission {
  if (own.status === 'running') return callOf(described, facts);
  const answer = answerOf(own);
  if (own.status === 'waiting_approval') return { kind: 'approval', tenant: described.tenant, answer };
  return { kind: 'answer', answer, told: true };
}

/** A tool deleted since admission is found out by the claim; until then the longest time a tool may have is right. */
const callOf = ({ tenant }: DescribedAction, { tool }: Facts): Admission => ({
  kind: 'call',
  tenant,
  timeoutMs: tool?.timeoutMs ?? 120_000,
});

/** The action that is asked for, or what is wrong with the asking: a workflow may be started by anybody, in any way. */
function describe(request: unknown, identity: ActionIdentity): DescribedAction | Refused {
  const invalid = (message: string): Refused => ({ kind: 'refused', code: 'validation_error', message });
  const { data, error } = parseInput(ActionRequest, request);
  if (error !== undefined) return invalid(error);
  const { run_id: named, ...args } = data.args ?? {};
  const { tenant, agent_id: agentId, tool, of_run: place } = data;
  if (!mayBeAction(identity.workflowId, tenant, { agent_id: agentId, tool, args, of_run: place })) {
    return invalid('the workflow ID is that of another tenant or call');
  }
  // Its caller was told that it is not known whether this was accepted; it came later than that.
  if (data.begin_before !== undefined && identity.startedAt > data.begin_before)
    return { kind: 'refused', code: 'not_begun' };
  const { actionId, workflowId } = identity;
  const runId = data.run_id ?? (typeof named === 'string' ? named : actionId);
  const ofRun: OfRun | null =
    place === undefined ? null : { key: place.key, n: place.n, leaseId: place.lease_id, fence: place.fence };
  return {
    tenant,
    actionId,
    workflowId,
    agentId,
    tool,
    args,
    spendUsd: data.spend_usd,
    runId,
    ofRun,
    actor: data.actor ?? null,
  };
}

const undecided = (
  action: DescribedAction,
  { risk }: Extract<Ruling, { kind: 'approval' }>,
  policyVersion: number | null,
): ActionAnswer => ({
  ...denialOf(action, { kind: 'deny', reason: 'approval_required', risk }, policyVersion),
  decision: 'pending',
  result: whereToLook(action.actionId),
});
