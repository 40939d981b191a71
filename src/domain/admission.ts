import type { PolicyReason, RiskLevel } from '../contracts/action.ts';
import type { Policy } from '../contracts/policy.ts';
import type { ActionRecord } from './action.ts';
import { judgeCall, judgeLimits, spendMicros, type Used, type Verdict } from './policy.ts';

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
  | { readonly kind: 'deny'; readonly reason: PolicyReason; readonly risk: RiskLevel }
  | { readonly kind: 'allow'; readonly spendMicros: number; readonly toolScope: string };

/** What an action asks for, as far as a ruling looks at it. */
export interface Asked {
  readonly agentId: string;
  readonly tool: string;
  readonly argsHash: string;
  readonly spendUsd: number | undefined;
}

/** Rules on an action: what is known of its key first, then the tool, then policy and ledger. */
export function rule(asked: Asked, facts: Facts): Ruling {
  if (facts.own !== undefined) return { kind: 'known', own: facts.own };
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
  const { tool, policy = {}, agentEnabled } = facts;
  if (tool === undefined) return { kind: 'unknown_tool' };
  const spend = spendMicros(asked.spendUsd, tool, policy);
  const call = { tool: tool.name, spendMicros: spend, agentEnabled, toolEnabled: tool.enabled };
  const verdict = firstDenial(
    () => judgeCall(call, policy),
    () => withoutPolicy(facts),
    () => judgeLimits(call, policy, facts.used),
  );
  return verdict.kind === 'deny' ? verdict : { kind: 'allow', spendMicros: spend, toolScope: tool.scope };
}

const withoutPolicy = (facts: Facts): Verdict =>
  facts.policy === undefined && facts.defaultDeny
    ? { kind: 'deny', reason: 'tool_not_in_allowed_list', risk: 'medium' }
    : { kind: 'allow' };

function firstDenial(...checks: ReadonlyArray<() => Verdict>): Verdict {
  for (const check of checks) {
    const verdict = check();
    if (verdict.kind === 'deny') return verdict;
  }
  return { kind: 'allow' };
}
