import { z } from 'zod';
import { AgentId, optional, Price, ToolName, text, Usd } from './common.ts';
import { LeftOut } from './page.ts';
import { ApprovalTtl } from './settings.ts';

const count = z.int().min(0).max(1_000_000_000);
const tools = z.array(ToolName).max(1000);

/**
 * A rule on the arguments of calls: an expression of CEL (https://cel.dev) over `args`, `agent`, `tool`, `spend_usd` and
 * `time` that has to be true. It is about the named tools, or about all.
 */
export const Condition = z
  .object({
    name: text(64).meta({ example: 'small-refunds' }),
    expression: text(1024).meta({ example: 'args.amount <= 100.0 && args.currency == "usd"' }),
    tools: optional(tools),
  })
  .meta({ id: 'Condition' });
export type Condition = z.output<typeof Condition>;

const named = (conditions: readonly Condition[]) =>
  new Set(conditions.map(({ name }) => name)).size === conditions.length;
const conditions = z.array(Condition).max(50).refine(named, { error: 'Conditions should have names of their own' });

/** What a policy may hold. A field that is absent limits nothing; a limit of 0 allows nothing. */
export const Policy = z
  .object({
    allowed_tools: optional(tools),
    blocked_tools: optional(tools),
    max_actions_per_hour: optional(count),
    max_spend_usd_per_day: optional(Usd),
    max_calls_per_tool: optional(z.record(ToolName, count)),
    pricing_rules: optional(z.array(z.object({ tool: ToolName, price_usd: Usd })).max(1000)),
    conditions: optional(conditions),
    /** Tools whose every call waits for a person. */
    require_approval: optional(tools),
    /** How long such a call waits; the tenant's setting where absent. */
    approval_ttl_seconds: optional(ApprovalTtl),
    /** Tools that a condition does not block where it cannot be evaluated. */
    fail_open_tools: optional(tools),
  })
  .meta({ id: 'Policy' });
export type Policy = z.output<typeof Policy>;

/** A policy as it is asked for: prices in whole micro-dollars; what it does not know is told as ignored. */
const Asked = z.looseObject({
  ...Policy.shape,
  pricing_rules: optional(z.array(z.looseObject({ tool: ToolName, price_usd: Price })).max(1000)),
  conditions: optional(
    z
      .array(z.looseObject(Condition.shape))
      .max(50)
      .refine(named, { error: 'Conditions should have names of their own' }),
  ),
});

/** The path names the agent; an `agent_id` in the body is accepted and has to be the same. */
export const PolicyRequest = Asked.extend({ agent_id: optional(AgentId) }).meta({ id: 'PolicyRequest' });
export type PolicyRequest = z.output<typeof PolicyRequest>;

/** Policies to begin with; what each holds is in `src/domain/templates.ts`. */
export const PolicyTemplate = z.enum(['strict', 'moderate', 'permissive', 'read_only', 'support_bot']);
export type PolicyTemplate = z.output<typeof PolicyTemplate>;

/** Each field of `overrides` takes the place of the template's own. */
export const TemplateRequest = z
  .looseObject({ template: PolicyTemplate, overrides: optional(Asked), agent_id: optional(AgentId) })
  .meta({ id: 'TemplateRequest' });
export type TemplateRequest = z.output<typeof TemplateRequest>;

export const PolicyAnswer = z
  .object({ agent_id: z.string(), policy: Policy, policy_version: z.int() })
  .meta({ id: 'PolicyAnswer' });
export type PolicyAnswer = z.output<typeof PolicyAnswer>;

export const SavedPolicyAnswer = PolicyAnswer.extend({
  ignored_fields: z
    .array(z.string())
    .optional()
    .meta({ description: 'What was sent and is no part of a policy, with its path: misspelt, perhaps' }),
}).meta({ id: 'SavedPolicyAnswer' });
export type SavedPolicyAnswer = z.output<typeof SavedPolicyAnswer>;

export const ListedPolicy = PolicyAnswer.extend({ policy: z.union([Policy, LeftOut]) }).meta({ id: 'ListedPolicy' });
export type ListedPolicy = z.output<typeof ListedPolicy>;

/** Every tool name a policy speaks of, each once, in the order of its fields. */
export const toolsNamedIn = (policy: Policy): string[] => [
  ...new Set([
    ...(policy.allowed_tools ?? []),
    ...(policy.blocked_tools ?? []),
    ...Object.keys(policy.max_calls_per_tool ?? {}),
    ...(policy.pricing_rules ?? []).map((rule) => rule.tool),
    ...(policy.conditions ?? []).flatMap((condition) => condition.tools ?? []),
    ...(policy.require_approval ?? []),
    ...(policy.fail_open_tools ?? []),
  ]),
];
