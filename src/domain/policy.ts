import type { PolicyReason, RiskLevel } from '../contracts/action.ts';
import type { Policy } from '../contracts/policy.ts';
import { toMicros } from './money.ts';

/** What is known of a call before any of its agent's spending is looked at. */
export interface Call {
  readonly tool: string;
  readonly spendMicros: number;
  readonly agentEnabled: boolean;
  readonly toolEnabled: boolean;
}

/** What the agent has used in the fixed UTC windows around now; money counts while held and once spent. */
export interface Used {
  readonly actionsThisHour: number;
  readonly toolCallsToday: number;
  readonly microsToday: number;
}

export type Verdict =
  | { readonly kind: 'allow' }
  | { readonly kind: 'deny'; readonly reason: PolicyReason; readonly risk: RiskLevel };

const allow: Verdict = { kind: 'allow' };
const deny = (reason: PolicyReason, risk: RiskLevel): Verdict => ({ kind: 'deny', reason, risk });

/** What can be said without the ledger: switches, then lists. A block beats an allow. */
export function judgeCall(call: Call, policy: Policy): Verdict {
  if (!call.agentEnabled) return deny('agent_disabled', 'high');
  if (!call.toolEnabled) return deny('tool_disabled', 'medium');
  if (policy.blocked_tools?.includes(call.tool)) return deny('tool_explicitly_blocked', 'high');
  const allowed = policy.allowed_tools ?? [];
  if (allowed.length > 0 && !allowed.includes(call.tool)) return deny('tool_not_in_allowed_list', 'medium');
  return allow;
}

/** What the ledger says, in the order in which a caller can act on it. The caller holds the ledger's row lock. */
export function judgeLimits(call: Call, policy: Policy, used: Used): Verdict {
  const maxCalls = limitFor(policy.max_calls_per_tool, call.tool);
  if (maxCalls !== undefined && used.toolCallsToday >= maxCalls) return deny('max_calls_per_tool_exceeded', 'medium');
  const maxActions = policy.max_actions_per_hour;
  if (maxActions !== undefined && used.actionsThisHour >= maxActions)
    return deny('max_actions_per_hour_exceeded', 'medium');
  const cap = policy.max_spend_usd_per_day;
  // A free call is allowed under a budget of 0 (contract, section 14).
  if (cap !== undefined && call.spendMicros > 0 && used.microsToday + call.spendMicros > toMicros(cap)) {
    return deny('max_spend_usd_per_day_exceeded', 'high');
  }
  return allow;
}

const limitFor = (limits: Readonly<Record<string, number>> | undefined, tool: string): number | undefined =>
  limits !== undefined && Object.hasOwn(limits, tool) ? limits[tool] : undefined;

/** The largest of what the agent says, the policy prices and the tool costs: an agent cannot talk its spend down. */
export function spendMicros(
  asked: number | undefined,
  tool: { name: string; priceMicros: number | null },
  policy: Policy,
): number {
  const rules = (policy.pricing_rules ?? [])
    .filter((rule) => rule.tool === tool.name)
    .map((rule) => toMicros(rule.price_usd));
  return Math.max(0, toMicros(asked ?? 0), tool.priceMicros ?? 0, ...rules);
}
