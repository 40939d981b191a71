import { z } from 'zod';
import type { JsonObject } from '../contracts/common.ts';
import type { Policy } from '../contracts/policy.ts';
import { type Asked, consider, type Facts } from './admission.ts';
import { type Considered, spendMicros } from './policy.ts';

/** What a decision was made of, besides the call and the version of the policy, which are kept anyway. */
export const RuledOn = z.object({
  at: z.string(),
  asked_spend_usd: z.number().nullable(),
  price_micros: z.number().nullable(),
  killed: z.boolean().default(false),
  agent_enabled: z.boolean(),
  tool_enabled: z.boolean(),
  policy_missing: z.boolean(),
  arguments_error: z.string().nullable().default(null),
  approved: z.boolean().default(false),
  actions_this_hour: z.number(),
  tool_calls_today: z.number(),
  micros_today: z.number(),
});
export type RuledOn = z.output<typeof RuledOn>;

export function ruledOn(asked: Asked, facts: Facts): RuledOn {
  const considered = consider(asked, facts);
  return {
    at: (considered?.call.time ?? facts.now).toISOString(),
    asked_spend_usd: asked.spendUsd ?? null,
    price_micros: facts.tool?.priceMicros ?? null,
    killed: facts.killed,
    agent_enabled: facts.agentEnabled,
    tool_enabled: facts.tool?.enabled ?? true,
    policy_missing: facts.policy === undefined && facts.defaultDeny,
    arguments_error: considered?.misfit ?? null,
    approved: considered?.call.approved ?? false,
    actions_this_hour: facts.used.actionsThisHour,
    tool_calls_today: facts.used.toolCallsToday,
    micros_today: facts.used.microsToday,
  };
}

/** A past decision, as it can be made again. */
export interface PastDecision {
  readonly agentId: string;
  readonly tool: string;
  readonly args: JsonObject;
  readonly ruledOn: RuledOn;
}

/** The decision put to a policy once more: the one it was made by, or another. */
export function reconsider({ agentId, tool, args, ruledOn: on }: PastDecision, policy: Policy): Considered {
  return {
    call: {
      agent: agentId,
      tool,
      args,
      time: new Date(on.at),
      spendMicros: spendMicros(on.asked_spend_usd ?? undefined, { name: tool, priceMicros: on.price_micros }, policy),
      killed: on.killed,
      agentEnabled: on.agent_enabled,
      toolEnabled: on.tool_enabled,
      policyMissing: on.policy_missing,
      approved: on.approved,
    },
    policy,
    misfit: on.arguments_error ?? undefined,
    used: {
      actionsThisHour: on.actions_this_hour,
      toolCallsToday: on.tool_calls_today,
      microsToday: on.micros_today,
    },
  };
}
