import { z } from 'zod';
import { Actor, AgentId, JsonObject, Key, Moment, optional, RunId, Tenant, ToolName, Usd } from './common.ts';

/** Seconds a caller is ready to wait for the outcome; more is clamped to 60. */
export const Wait = z
  .number()
  .min(0)
  .transform((seconds) => Math.min(seconds, 60));

export const RunRequest = z
  .object({
    agent_id: AgentId,
    tool: ToolName,
    args: optional(JsonObject),
    spend_usd: optional(Usd),
    idempotency_key: optional(Key),
    run_id: optional(RunId),
    wait: optional(Wait),
    key: optional(z.never({ error: 'A request has one mode: either key or agent_id and tool' })),
  })
  .meta({ id: 'RunRequest' });
export type RunRequest = z.output<typeof RunRequest>;

export const Decision = z.enum(['executed', 'blocked', 'dedup', 'failed', 'in_doubt', 'pending']);
export const RiskLevel = z.enum(['low', 'medium', 'high']);
export type RiskLevel = z.output<typeof RiskLevel>;

export const PolicyReason = z.enum([
  'ok',
  'killed',
  'agent_disabled',
  'tool_disabled',
  'tool_explicitly_blocked',
  'no_policy',
  'tool_not_in_allowed_list',
  'invalid_arguments',
  'condition_not_met',
  'max_calls_per_tool_exceeded',
  'max_actions_per_hour_exceeded',
  'max_spend_usd_per_day_exceeded',
  'approval_required',
  'approval_denied',
  'tool_idempotency',
  'tool_error',
  'in_doubt',
  'still_running',
]);
export type PolicyReason = z.output<typeof PolicyReason>;

/** The condition of the policy that was not met, where `policy_reason` is `condition_not_met`. */
const ConditionName = z.string().optional();
/** What is wrong with the arguments, and where, where `policy_reason` is `invalid_arguments`. */
const ArgumentsError = z.string().optional();

/** Body of mode B of `POST /v1/ai/run`, and the result of the `governedAction` workflow. */
export const ActionAnswer = z
  .object({
    ok: z.boolean(),
    allowed: z.boolean(),
    decision: Decision,
    policy_reason: PolicyReason,
    risk_level: RiskLevel,
    result: JsonObject.nullable(),
    action_id: z.string(),
    workflow_id: z.string(),
    run_id: z.string(),
    spend_usd: z.number(),
    policy_version: z.int().nullable(),
    condition: ConditionName,
    arguments_error: ArgumentsError,
  })
  .meta({ id: 'ActionAnswer' });
export type ActionAnswer = z.output<typeof ActionAnswer>;

export const ActionStatus = z.enum([
  'pending',
  'waiting_approval',
  'running',
  'executed',
  'blocked',
  'failed',
  'in_doubt',
]);
export type ActionStatus = z.output<typeof ActionStatus>;

export const Action = z
  .object({
    action_id: z.string(),
    status: ActionStatus,
    agent_id: z.string(),
    tool: z.string(),
    tool_version: z.int().nullable().meta({ description: 'The version of the tool it was made with' }),
    args_hash: z.string(),
    decision: Decision,
    policy_reason: PolicyReason,
    policy_version: z.int().nullable(),
    condition: ConditionName,
    arguments_error: ArgumentsError,
    risk_level: RiskLevel,
    spend_usd: z.number(),
    fence: z.int().nullable(),
    run_id: z.string(),
    attempts: z.array(
      z.object({
        n: z.int(),
        started_at: Moment,
        ended_at: Moment.nullable(),
        outcome: z.string().nullable(),
        http_status: z.int().nullable(),
      }),
    ),
    result: JsonObject.nullable(),
    workflow_id: z.string(),
    temporal_url: z.string(),
    created_at: Moment,
    done_at: Moment.nullable(),
  })
  .meta({ id: 'Action' });
export type Action = z.output<typeof Action>;

/** An action as a list shows it: results may be large, so they and the attempts are read one by one. */
export const ActionItem = Action.omit({ result: true, attempts: true }).meta({ id: 'ActionItem' });
export type ActionItem = z.output<typeof ActionItem>;

export const ActionList = z
  .object({ items: z.array(ActionItem), next_cursor: z.string().nullable() })
  .meta({ id: 'ActionList' });
export type ActionList = z.output<typeof ActionList>;

export const ResolveRequest = z
  .object({
    outcome: z.enum(['executed', 'not_executed']),
    result: optional(JsonObject),
    reason: optional(z.string().max(512)),
  })
  .meta({ id: 'ResolveRequest' });
export type ResolveRequest = z.output<typeof ResolveRequest>;

/** What became of an action in doubt, and who says so. */
export const Resolution = ResolveRequest.extend({ actor: Actor });
export interface Resolution {
  readonly outcome: 'executed' | 'not_executed';
  readonly result?: JsonObject;
  readonly reason?: string;
  readonly actor: string;
}

/** Input of the `governedAction` workflow (contract, section 13): anybody may start it, so its first step parses it. */
export const ActionRequest = z.object({
  tenant: Tenant,
  agent_id: AgentId,
  tool: ToolName,
  args: optional(
    JsonObject.refine(({ run_id }) => optional(RunId).safeParse(run_id).success, {
      error: 'run_id should be text that names a run',
    }),
  ),
  spend_usd: optional(Usd),
  run_id: optional(RunId),
  actor: optional(Actor),
  begin_before: optional(z.number()),
  of_run: optional(z.object({ key: Key, n: z.int().min(1), lease_id: z.string(), fence: z.int() })),
});
export interface ActionRequest {
  readonly tenant?: string;
  readonly agent_id: string;
  readonly tool: string;
  readonly args?: JsonObject;
  readonly spend_usd?: number;
  readonly run_id?: string;
  readonly idempotency_key?: string;
  /** Who asked, for the audit trail. */
  readonly actor?: string;
  /** Unix milliseconds by Temporal's clock: started later, it was refused already and does nothing. */
  readonly begin_before?: number;
  /** Set by an `agentRun`, its parent, which is told of a doubt by a signal and ends the timeline itself. */
  readonly of_run?: PlaceInRun;
  /** Set by the workflow itself when it goes on waiting for a resolution; never by a caller. */
  readonly in_doubt?: Doubt;
}

/** Which of a run's actions it is, and under which lease the run makes it. */
export interface PlaceInRun {
  readonly key: string;
  /** Counted from 1. */
  readonly n: number;
  readonly lease_id: string;
  readonly fence: number;
}

/**
 * Where a call is made.
 *
 * | lane | | |
 * | --- | --- | --- |
 * | local | within its workflow's task, beside what decides | the first call of a tool that has lately answered within 2 s |
 * | queue | on the queue of calls (`{task queue}-calls`), in slots of their own | every other |
 */
export type Lane = 'local' | 'queue';

/** An action in doubt, as its workflow carries it over into a new run. */
export interface Doubt {
  readonly since: number;
  /** How many attempts were made. */
  readonly attempts: number;
  /** How long an attempt may take; milliseconds. */
  readonly timeoutMs: number;
  /** Absent where it was begun by a version that had no queue of calls. */
  readonly lane?: 'queue';
  /** Seconds until it is looked at again. */
  readonly pause: number;
  /** Workflows that wait for its end. */
  readonly waiting: readonly WorkflowRun[];
}

export interface WorkflowRun {
  readonly workflowId: string;
  readonly runId: string;
}
