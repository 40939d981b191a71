import type { RiskLevel } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import type { Policy } from '../contracts/policy.ts';
import type { ActionRecord } from './action.ts';
import { type Call, type Considered, judge, spendMicros, type Used, type Verdict } from './policy.ts';

/** All that a ruling is made of, read under the lock of the agent's ledger row. */
export interface Facts {
  /** This very action, where a repeated activity asks again. */
  readonly own: ActionRecord | undefined;
  /** The latest execution of the same key, and whether its outcome is still within its window. */
  readonly previous: (ActionRecord & { readonly remembered: boolean }) | undefined;
  readonly tool: RegisteredTool | undefined;
  readonly policy: Policy | undefined;
  readonly policyVersion: number | null;
  readonly agentEnabled: boolean;
  /** The tenant refuses agents that have no policy. */
  readonly defaultDeny: boolean;
  readonly used: Used;
  /** A person has approved this very action. */
  readonly approved: boolean;
  /** The database's clock. */
  readonly now: Date;
}

export interface RegisteredTool {
  readonly name: string;
  readonly scope: string;
  readonly priceMicros: number | null;
  readonly enabled: boolean;
  readonly timeoutMs: number;
}

export type Ruling =
  | { readonly kind: 'known'; readonly own: ActionRecord }
  | { readonly kind: 'replay'; readonly previous: ActionRecord }
  | { readonly kind: 'in_doubt'; readonly previous: ActionRecord }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'unknown_tool' }
  | Extract<Verdict, { kind: 'deny' }>
  /** All is well, once a person says so. */
  | { readonly kind: 'approval'; readonly risk: RiskLevel; readonly toolScope: string }
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
  const { own, approved } = facts;
  // An approval does not bind: what has changed meanwhile, limits above all, is looked at again.
  if (own?.status === 'waiting_approval' && approved) return admit(asked, facts);
  if (own !== undefined) return { kind: 'known', own };
  return remembered(asked, facts) ?? admit(asked, facts);
}

/** A disabled agent hears of its switch, not of the past; a changed policy does not undo a replay. */
function remembered(asked: Asked, { previous, agentEnabled }: Facts): Ruling | undefined {
  if (previous === undefined) return undefined;
  const inDoubt = previous.status === 'in_doubt';
  if (!inDoubt && !previous.remembered) return undefined;
  if (!sameCall(asked, previous)) return { kind: 'mismatch' };
  if (!agentEnabled) return { kind: 'deny', reason: 'agent_disabled', risk: 'high' };
  return { kind: inDoubt ? 'in_doubt' : 'replay', previous };
}

/** Another agent, tool or arguments under the same key is a mismatch; another spend is not (contract, section 14). */
export const sameCall = (asked: Pick<Asked, 'agentId' | 'tool' | 'argsHash'>, action: ActionRecord): boolean =>
  asked.agentId === action.agentId && asked.tool === action.tool && asked.argsHash === action.argsHash;

function admit(asked: Asked, facts: Facts): Ruling {
  const considered = consider(asked, facts);
  if (considered === undefined) return { kind: 'unknown_tool' };
  const verdict = judge(considered);
  const { call, toolScope } = considered;
  if (verdict.kind === 'allow') return { kind: 'allow', spendMicros: call.spendMicros, toolScope };
  return verdict.reason === 'approval_required' ? { kind: 'approval', risk: verdict.risk, toolScope } : verdict;
}

/** What a policy is held against, out of what was asked and what is known; undefined where the tool is unknown. */
export function consider(asked: Asked, facts: Facts): (Considered & { readonly toolScope: string }) | undefined {
  const { tool, policy = {}, agentEnabled, used } = facts;
  if (tool === undefined) return undefined;
  const call: Call = {
    agent: asked.agentId,
    tool: tool.name,
    args: asked.args,
    time: facts.now,
    spendMicros: spendMicros(asked.spendUsd, tool, policy),
    agentEnabled,
    toolEnabled: tool.enabled,
    policyMissing: facts.policy === undefined && facts.defaultDeny,
    approved: facts.approved,
  };
  return { call, policy, used, toolScope: tool.scope };
}
