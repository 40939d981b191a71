import { z } from 'zod';
import { Decision, PolicyReason, RiskLevel } from './action.ts';
import { Moment } from './common.ts';

export const Me = z
  .object({
    plan: z.string(),
    key_preview: z.string(),
    email: z.string().nullable(),
    is_active: z.boolean(),
    current_period_end: Moment.nullable(),
    requests_total_all_time: z.int(),
    blocked_total_all_time: z.int(),
    email_notifications_enabled: z.boolean(),
    tool_error_notifications_enabled: z.boolean(),
    run_failure_notifications_enabled: z.boolean(),
  })
  .meta({ id: 'Me' });
export type Me = z.output<typeof Me>;

export const AgentLog = z
  .object({
    ts: Moment,
    agent_id: z.string(),
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
