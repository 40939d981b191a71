import { z } from 'zod';
import { PolicyReason, RiskLevel } from './action.ts';
import { AgentId, JsonObject, Moment, optional, ToolName, Usd } from './common.ts';
import { Policy } from './policy.ts';

/** A check by the reason it blocks with, in the order in which the first reason is told. */
const ExplainedCheck = z.object({
  check: PolicyReason,
  passed: z.boolean(),
  /** What was compared: a limit and what was used of it, or what each condition said. */
  detail: JsonObject.optional(),
});

const ruling = {
  /** `pending` where all is well once a person approves. */
  decision: z.enum(['allowed', 'blocked', 'pending']),
  policy_reason: PolicyReason,
  risk_level: RiskLevel,
  condition: z.string().optional(),
  arguments_error: z.string().optional(),
};

/** Why an action was allowed or blocked: what was known then, and what each check said. */
export const Explanation = z
  .object({
    action_id: z.string(),
    agent_id: z.string(),
    tool: z.string(),
    ...ruling,
    policy_version: z.int().nullable(),
    policy: Policy.nullable(),
    decided_at: Moment,
    inputs: z
      .object({
        args: JsonObject,
        args_hash: z.string(),
        asked_spend_usd: z.number().nullable(),
        tool_price_usd: z.number().nullable(),
        spend_usd: z.number(),
        agent_enabled: z.boolean(),
        tool_enabled: z.boolean(),
        actions_this_hour: z.int(),
        tool_calls_today: z.int(),
        spent_usd_today: z.number(),
      })
      .meta({ description: 'As they were when the decision was made' }),
    checks: z.array(ExplainedCheck),
    /** What became of it since; a block may also come later, by the kill switch. */
    outcome: z.string(),
  })
  .meta({ id: 'Explanation' });
export type Explanation = z.output<typeof Explanation>;

const MAX_DAYS = 90;

/** A draft, or the policy in force where none is given, held against one call or against the decisions of some days. */
const eitherOr = z.never({ error: 'Give either a call or days' });
export const SimulateRequest = z
  .union([
    z.object({
      policy: optional(Policy),
      call: z.object({ tool: ToolName, args: optional(JsonObject), spend_usd: optional(Usd) }),
      days: optional(eitherOr),
    }),
    z.object({ policy: optional(Policy), call: optional(eitherOr), days: z.int().min(1).max(MAX_DAYS) }),
  ])
  .meta({ id: 'SimulateRequest' });
export type SimulateRequest = z.output<typeof SimulateRequest>;

const SimulatedCall = z.object({
  agent_id: AgentId,
  ...ruling,
  spend_usd: z.number(),
  checks: z.array(ExplainedCheck),
});

const Ruled = z.object(ruling).omit({ risk_level: true });

const SimulatedDays = z.object({
  agent_id: AgentId,
  days: z.int(),
  /** Decisions that were put to the policy; the latest ones are left out where there are too many. */
  replayed: z.int(),
  complete: z.boolean(),
  changed: z.int(),
  changes: z
    .array(
      z.object({
        action_id: z.string(),
        ts: Moment,
        tool: z.string(),
        args_hash: z.string(),
        spend_usd: z.number(),
        before: Ruled,
        after: Ruled,
      }),
    )
    .meta({ description: 'Those that would change, oldest first; the first 1,000' }),
});
export type SimulatedDays = z.output<typeof SimulatedDays>;

export const Simulation = z.union([SimulatedCall, SimulatedDays]).meta({ id: 'Simulation' });
export type Simulation = z.output<typeof Simulation>;
