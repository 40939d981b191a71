import type { ActionAnswer, RiskLevel } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import type { Policy } from '../contracts/policy.ts';
import { type ActionRecord, isOpen } from './action.ts';
import {
  type Call,
  type Considered,
  deniedAhead,
  judge,
  questionOf,
  type Said,
  spendMicros,
  type Used,
  type Verdict,
} from './policy.ts';

/** All that a ruling is made of, read under the lock of the agent's ledger row. */
export interface Facts {
  /** This very action, where a repeated activity asks again. */
  readonly own: ActionRecord | undefined;
  /** The latest execution of the same key, and whether its outcome is still within its window. */
  readonly previous: (ActionRecord & { readonly remembered: boolean }) | undefined;
  readonly tool: RegisteredTool | undefined;
  readonly policy: Policy | undefined;
  readonly policyVersion: number | null;
  /** Its tenant, or its tool, is killed. */
  readonly killed: boolean;
  readonly agentEnabled: boolean;
  /** The tenant refuses agents that have no policy. */
  readonly defaultDeny: boolean;
  readonly used: Used;
  /** The latest request for an approval of this very action. */
  readonly approval: Asking | undefined;
  /** The run it belongs to does not hold its key any more. */
  readonly runIsOver: boolean;
  /** The database's clock. */
  readonly now: Date;
  /** What the conditions have said, where they were judged before these facts were read. */
  readonly judged?: Judgement | undefined;
}

/** What was said of a call, with all that can have been looked at besides the call itself. */
export interface Judgement extends Said {
  readonly policyVersion: number | null;
  readonly toolScope: string;
  readonly toolVersion: number;
  readonly spendMicros: number;
  /** Their `time`; a decision that is made of them is of that moment. */
  readonly at: Date;
}

/** A judgement that is older says nothing of now: conditions can speak of the time. */
const MAX_JUDGEMENT_AGE_MS = 5_000;
const HOUR_MS = 3_600_000;

/** What a person was shown, and what they said. */
export interface Asking {
  /** Counted from 1: an action may be asked for again. */
  readonly n: number;
  readonly status: 'pending' | 'approved' | 'denied' | 'expired' | 'superseded';
  readonly toolVersion: number;
  readonly spendMicros: number;
}

export interface RegisteredTool {
  readonly name: string;
  readonly scope: string;
  /** Where its calls go. */
  readonly target: string;
  readonly version: number;
  readonly priceMicros: number | null;
  readonly enabled: boolean;
  readonly timeoutMs: number;
  /** Seconds for which equal calls without a key are one; 0: never. */
  readonly dedupTtl: number;
  /** The JSON Schema of its arguments, as text. */
  readonly inputSchema: string | null;
}

export type Ruling =
  | { readonly kind: 'known'; readonly own: ActionRecord }
  | { readonly kind: 'replay'; readonly previous: ActionRecord }
  | { readonly kind: 'in_doubt'; readonly previous: ActionRecord }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'unknown_tool' }
  | Extract<Verdict, { kind: 'deny' }>
  /** All is well, once a person says so. */
  | { readonly kind: 'approval'; readonly risk: RiskLevel; readonly spendMicros: number; readonly toolScope: string }
  | { readonly kind: 'run_over' }
  /** Its conditions have to be judged first, over these very facts. */
  | { readonly kind: 'unjudged' }
  | { readonly kind: 'allow'; readonly spendMicros: number; readonly toolScope: string };

/** What an action asks for, as far as a ruling looks at it. */
export interface Asked {
  readonly agentId: string;
  readonly tool: string;
  readonly argsHash: string;
  /** Without `run_id`, which only names the timeline. */
  readonly args: JsonObject;
  readonly spendUsd: number | undefined;
}

/** Rules on an action: what is known of its key first, then the tool, then policy and ledger. */
export function rule(asked: Asked, facts: Facts): Ruling {
  const { own, approval } = facts;
  if (own === undefined)
    return facts.runIsOver ? { kind: 'run_over' } : (remembered(asked, facts) ?? admit(asked, facts));
  if (own.status !== 'waiting_approval' || approval === undefined) return { kind: 'known', own };
  // An approval does not bind: what has changed meanwhile, limits above all, is looked at again.
  if (approval.status !== 'approved' && approval.status !== 'superseded') return { kind: 'known', own };
  return facts.runIsOver ? { kind: 'run_over' } : admit(asked, facts);
}

/** A disabled agent hears of its switch, not of the past; a changed policy does not undo a replay. */
function remembered(asked: Asked, { previous, killed, agentEnabled }: Facts): Ruling | undefined {
  if (previous === undefined) return undefined;
  const inDoubt = previous.status === 'in_doubt';
  if (!inDoubt && !previous.remembered) return undefined;
  if (!sameCall(asked, previous)) return { kind: 'mismatch' };
  if (killed) return { kind: 'deny', reason: 'killed', risk: 'high' };
  if (!agentEnabled) return { kind: 'deny', reason: 'agent_disabled', risk: 'high' };
  return { kind: inDoubt ? 'in_doubt' : 'replay', previous };
}

/** Another agent, tool or arguments under the same key is a mismatch; another spend is not (contract, section 14). */
export const sameCall = (asked: Pick<Asked, 'agentId' | 'tool' | 'argsHash'>, action: ActionRecord): boolean =>
  asked.agentId === action.agentId && asked.tool === action.tool && asked.argsHash === action.argsHash;

/**
 * What can be said of a call before its workflow is started: that it is denied, or names no tool, or that its conditions are to
 * be judged first; undefined where it has to be ruled on under the lock.
 */
export function refusedAhead(
  asked: Asked,
  facts: Facts,
): Extract<Ruling, { kind: 'deny' | 'unknown_tool' | 'unjudged' }> | undefined {
  // The same call is under way: it is joined, whatever would be said of another one.
  if (facts.previous !== undefined && isOpen(facts.previous.status)) return undefined;
  const ruling = remembered(asked, facts) ?? admit(asked, facts);
  return ruling.kind === 'deny' || ruling.kind === 'unknown_tool' || ruling.kind === 'unjudged' ? ruling : undefined;
}

function admit(asked: Asked, facts: Facts): Ruling {
  const considered = consider(asked, facts);
  if (considered === undefined) return { kind: 'unknown_tool' };
  const said = saidOf(considered, facts);
  if (said === undefined) return deniedAhead(considered) ?? { kind: 'unjudged' };
  const verdict = judge({ ...considered, ...said });
  const { call, toolScope } = considered;
  const { spendMicros } = call;
  if (verdict.kind === 'allow') return { kind: 'allow', spendMicros, toolScope };
  if (verdict.reason !== 'approval_required') return verdict;
  return { kind: 'approval', risk: verdict.risk, spendMicros, toolScope };
}

/** What is said of a call, as far as it is known: nothing, where neither tool nor policy asks anything of its arguments. */
function saidOf(considered: Considered, facts: Facts): Said | undefined {
  const { schema, conditions } = questionOf(considered);
  if (schema === undefined && conditions.length === 0) return { misfit: undefined, found: [] };
  return current(facts, considered.call.spendMicros);
}

/**
 * The judgement, if it is one over these facts: by the same version of the policy and the tool, of the same spend, and just now. Within the
 * same hour, so that the limits of a decision are those of its moment.
 */
function current({ judged, policyVersion, tool, now }: Facts, spendMicros: number): Judgement | undefined {
  if (judged?.policyVersion !== policyVersion || judged.spendMicros !== spendMicros) return undefined;
  if (judged.toolScope !== tool?.scope || judged.toolVersion !== tool.version) return undefined;
  const [at, by] = [judged.at.getTime(), now.getTime()];
  const isNow = by - at <= MAX_JUDGEMENT_AGE_MS && Math.floor(at / HOUR_MS) === Math.floor(by / HOUR_MS);
  return isNow ? judged : undefined;
}

/** Whether a person has approved exactly this: an approval is bound to the spend and the version of the tool it showed. */
const approvedAsShown = ({ approval, tool }: Facts, spendMicros: number): boolean =>
  approval?.status === 'approved' && approval.toolVersion === tool?.version && approval.spendMicros === spendMicros;

/** What a policy is held against, out of what was asked and what is known; undefined where the tool is unknown. */
export function consider(asked: Asked, facts: Facts): (Considered & { readonly toolScope: string }) | undefined {
  const { tool, policy = {}, killed, agentEnabled, used } = facts;
  if (tool === undefined) return undefined;
  const spend = spendMicros(asked.spendUsd, tool, policy);
  const judged = current(facts, spend);
  const call: Call = {
    agent: asked.agentId,
    tool: tool.name,
    args: asked.args,
    time: judged?.at ?? facts.now,
    spendMicros: spend,
    killed,
    agentEnabled,
    toolEnabled: tool.enabled,
    policyMissing: facts.policy === undefined && facts.defaultDeny,
    approved: approvedAsShown(facts, spend),
  };
  const { inputSchema, scope: toolScope } = tool;
  return { call, policy, used, schema: inputSchema ?? undefined, misfit: judged?.misfit, toolScope };
}

/** A call as far as its denial is told. */
interface DeniedCall {
  readonly actionId: string;
  readonly workflowId: string;
  readonly runId: string;
}

/** What the caller of a denied call is told. */
export const denialOf = (
  { actionId, workflowId, runId }: DeniedCall,
  { reason, risk, condition, misfit }: Extract<Verdict, { kind: 'deny' }>,
  policyVersion: number | null,
): ActionAnswer => ({
  ok: false,
  allowed: false,
  decision: 'blocked',
  policy_reason: reason,
  risk_level: risk,
  result: null,
  action_id: actionId,
  workflow_id: workflowId,
  run_id: runId,
  spend_usd: 0,
  policy_version: policyVersion,
  ...(condition !== undefined && { condition }),
  ...(misfit !== undefined && { arguments_error: misfit }),
});
