import { z } from 'zod';
import { Decision, PolicyReason, RiskLevel } from './action.ts';
import { cutText, Moment, optional } from './common.ts';

/** Why a switch is turned. */
export const SwitchReason = cutText(512).meta({ example: 'too eager' });

/** Body of the kill switch, which may be left out. */
export const SwitchRequest = z
  .object({ reason: optional(SwitchReason) })
  .meta({ id: 'SwitchRequest' })
  .nullish();

const status = {
  agent_id: z.string(),
  is_enabled: z.boolean(),
  disabled_reason: z.string().nullable(),
  disabled_at: Moment.nullable(),
};

export const AgentStatus = z.object(status).meta({ id: 'AgentStatus' });
export type AgentStatus = z.output<typeof AgentStatus>;

export const DisableAnswer = z
  .object({
    ...status,
    stopped: z.int().meta({ description: 'Actions that waited for their next attempt or a person, and are settled' }),
    stopping: z.int().meta({ description: 'The same, about to be settled: none of them leaves either' }),
    in_flight: z.int().meta({ description: 'Actions whose attempt is under way and cannot be taken back' }),
  })
  .meta({ id: 'DisableAnswer' });
export type DisableAnswer = z.output<typeof DisableAnswer>;

/** The length of the window that ends now. */
export const MetricsPeriod = z.enum(['hour', 'day', 'week']);
export type MetricsPeriod = z.output<typeof MetricsPeriod>;

export const AgentMetrics = z
  .object({
    agent_id: z.string(),
    period: MetricsPeriod,
    total_actions: z
      .int()
      .meta({ description: 'Ruled on in the window, blocked ones included; repeats are no actions' }),
    blocked_actions: z.int(),
    total_spend_usd: z.number().meta({ description: 'Of the executed ones' }),
    top_tools: z.array(z.object({ tool: z.string(), count: z.int() })).meta({ description: 'At most 10' }),
  })
  .meta({ id: 'AgentMetrics' });
export type AgentMetrics = z.output<typeof AgentMetrics>;

export const AgentLog = z
  .object({
    ts: z.int().meta({ description: 'Unix seconds' }),
    agent_id: z.string(),
    action_id: z.string().nullable(),
    tool: z.string().nullable(),
    allowed: z.boolean(),
    decision: Decision,
    policy_reason: PolicyReason.nullable(),
    policy_version: z.int().nullable(),
    risk_level: RiskLevel,
    args_hash: z.string().nullable(),
    spend_usd: z.number(),
  })
  .meta({ id: 'AgentLog' });
export type AgentLog = z.output<typeof AgentLog>;
