import type { PolicyReason, RiskLevel } from '../contracts/action.ts';
import type { Condition, Policy } from '../contracts/policy.ts';
import { conditionsFor, type Finding, type Subject } from './condition/finding.ts';
import { toMicros, toUsd } from './money.ts';

/** What is known of a call when it is ruled on. */
export interface Call extends Omit<Subject, 'spendUsd'> {
  readonly spendMicros: number;
  /** Its tenant, or its tool, is killed. */
  readonly killed: boolean;
  readonly agentEnabled: boolean;
  readonly toolEnabled: boolean;
  /** The agent has no policy, and its tenant refuses agents that have none. */
  readonly policyMissing: boolean;
  /** A person has approved it. */
  readonly approved: boolean;
}

/** What the agent has used in the fixed UTC windows around now; money counts while held and once spent. */
export interface Used {
  readonly actionsThisHour: number;
  readonly toolCallsToday: number;
  readonly microsToday: number;
}

/** All that a policy is held against. The caller holds the ledger's row lock while what is `used` must not change. */
export interface Considered {
  readonly call: Call;
  readonly policy: Policy;
  readonly used: Used;
  /** The JSON Schema that the arguments have to fit, where that is to be asked. */
  readonly schema?: string | undefined;
  /** Why they do not, where it is known already. */
  readonly misfit?: string | undefined;
}

/** What is said of a call by what its tool and its policy ask of the arguments. */
export interface Said {
  /** Why the arguments do not fit the tool's schema; undefined where they do. */
  readonly misfit: string | undefined;
  /** What the conditions that speak of its tool say, in their order. */
  readonly found: readonly Finding[];
}

/** The same with what was said of the call. */
export type Judged = Considered & Said;

/** What has to be asked before a policy can be held against a call. */
export interface Question {
  readonly schema: string | undefined;
  /** None, where none speaks of its tool. */
  readonly conditions: Condition[];
  readonly subject: Subject;
}

export const questionOf = ({ call, policy, schema }: Considered): Question => {
  const { args, agent, tool, time, spendMicros } = call;
  return {
    schema,
    conditions: conditionsFor(policy.conditions, tool),
    subject: { args, agent, tool, time, spendUsd: toUsd(spendMicros) },
  };
};

export type Verdict =
  | { readonly kind: 'allow' }
  | {
      readonly kind: 'deny';
      readonly reason: PolicyReason;
      readonly risk: RiskLevel;
      /** The name of the one that was not met. */
      readonly condition?: string;
      /** Why the arguments do not fit the tool's schema. */
      readonly misfit?: string;
    };

/** What one check of a policy found. */
export interface Check {
  readonly passed: boolean;
  /** What was compared, for who wants to understand it. */
  readonly detail?: Record<string, unknown>;
  readonly condition?: string;
  readonly misfit?: string;
}

interface NamedCheck {
  readonly reason: PolicyReason;
  readonly risk: RiskLevel;
  readonly check: (judged: Judged) => Check;
}

const lists = (tools: readonly string[] | undefined, tool: string): boolean => tools?.includes(tool) ?? false;

/** Every check in the order in which the first reason is told (contract, section 5). A block beats an allow. */
const checks: readonly NamedCheck[] = [
  { reason: 'killed', risk: 'high', check: ({ call }) => ({ passed: !call.killed }) },
  { reason: 'agent_disabled', risk: 'high', check: ({ call }) => ({ passed: call.agentEnabled }) },
  { reason: 'tool_disabled', risk: 'medium', check: ({ call }) => ({ passed: call.toolEnabled }) },
  {
    reason: 'tool_explicitly_blocked',
    risk: 'high',
    check: ({ call, policy }) => ({ passed: !lists(policy.blocked_tools, call.tool) }),
  },
  { reason: 'no_policy', risk: 'medium', check: ({ call }) => ({ passed: !call.policyMissing }) },
  { reason: 'tool_not_in_allowed_list', risk: 'medium', check: allowedList },
  { reason: 'invalid_arguments', risk: 'low', check: argumentsFit },
  { reason: 'condition_not_met', risk: 'medium', check: conditionsMet },
  { reason: 'max_calls_per_tool_exceeded', risk: 'medium', check: callsPerTool },
  { reason: 'max_actions_per_hour_exceeded', risk: 'medium', check: actionsPerHour },
  { reason: 'max_spend_usd_per_day_exceeded', risk: 'high', check: spendPerDay },
  {
    reason: 'approval_required',
    risk: 'medium',
    check: ({ call, policy }) => ({ passed: call.approved || !lists(policy.require_approval, call.tool) }),
  },
];

/** Whether a policy lets a call through, or the first reason why not. */
export function judge(judged: Judged): Verdict {
  for (const { reason, risk, check } of checks) {
    const { passed, condition, misfit } = check(judged);
    if (passed) continue;
    const why = { ...(condition !== undefined && { condition }), ...(misfit !== undefined && { misfit }) };
    return { kind: 'deny', reason, risk, ...why };
  }
  return { kind: 'allow' };
}

/** Why a call is denied whatever is said of its arguments: by a check that comes before that. */
export function deniedAhead(considered: Considered): Extract<Verdict, { kind: 'deny' }> | undefined {
  for (const { reason, risk, check } of checks) {
    if (check === argumentsFit) return undefined;
    if (!check({ ...considered, misfit: undefined, found: [] }).passed) return { kind: 'deny', reason, risk };
  }
  return undefined;
}

/** What the lists of a policy alone say of a tool: they are looked at once more before each attempt. */
export function judgeLists(tool: string, { blocked_tools, allowed_tools = [] }: Policy): Verdict {
  if (lists(blocked_tools, tool)) return { kind: 'deny', reason: 'tool_explicitly_blocked', risk: 'high' };
  if (allowed_tools.length > 0 && !allowed_tools.includes(tool))
    return { kind: 'deny', reason: 'tool_not_in_allowed_list', risk: 'medium' };
  return { kind: 'allow' };
}

/** A check by its name, which is the reason it denies with. */
export interface ExplainedCheck extends Check {
  readonly check: PolicyReason;
}

/** What each check says, also those behind the first that does not pass. */
export const explain = (judged: Judged): ExplainedCheck[] =>
  checks.map(({ reason, check }) => ({ check: reason, ...check(judged) }));

function allowedList({ call, policy }: Considered): Check {
  const { allowed_tools: allowed = [] } = policy;
  return { passed: allowed.length === 0 || allowed.includes(call.tool) };
}

function argumentsFit({ misfit }: Judged): Check {
  return misfit === undefined ? { passed: true } : { passed: false, detail: { error: misfit }, misfit };
}

/**
 * What cannot be evaluated denies, unless the policy lets this tool through then. What was given up denies in any case: else
 * arguments that take long would be a way past every condition.
 */
function conditionsMet({ call, policy, found }: Judged): Check {
  const { conditions = [], fail_open_tools } = policy;
  if (conditions.length === 0) return { passed: true };
  const failsOpen = lists(fail_open_tools, call.tool);
  const unmet = found.find(({ holds, error, gaveUp }) => !holds && !(failsOpen && error !== undefined && !gaveUp));
  const detail = { conditions: found };
  return unmet === undefined ? { passed: true, detail } : { passed: false, detail, condition: unmet.name };
}

function callsPerTool({ call, policy, used }: Considered): Check {
  const limits = policy.max_calls_per_tool;
  const limit = limits !== undefined && Object.hasOwn(limits, call.tool) ? limits[call.tool] : undefined;
  return limited(limit, used.toolCallsToday);
}

function actionsPerHour({ policy, used }: Considered): Check {
  return limited(policy.max_actions_per_hour, used.actionsThisHour);
}

const limited = (limit: number | undefined, used: number): Check =>
  limit === undefined ? { passed: true } : { passed: used < limit, detail: { limit, used } };

function spendPerDay({ call, policy, used }: Considered): Check {
  const cap = policy.max_spend_usd_per_day;
  if (cap === undefined) return { passed: true };
  const detail = { limit: cap, used: toUsd(used.microsToday), spend_usd: toUsd(call.spendMicros) };
  // A free call is allowed under a budget of 0 (contract, section 14).
  return { passed: call.spendMicros === 0 || used.microsToday + call.spendMicros <= toMicros(cap), detail };
}

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
