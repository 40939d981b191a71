import { z } from 'zod';
import { AgentId, JsonObject, optional, RunId, text } from './common.ts';

const LEFT_OUT = 'As LeftOut where the list would be larger than 4 MiB with it; the first is always whole';
const label = optional(text(256));

/** What a timeline is made of that nobody but the server may say. */
export const SERVER_EVENTS = ['run_started', 'tool_call', 'tool_result', 'run_finished'] as const;
export type ServerEvent = (typeof SERVER_EVENTS)[number];
const isServers = (type: string): boolean => SERVER_EVENTS.some((one) => one === type);

export const EventRequest = z
  .object({
    run_id: RunId,
    type: text(64)
      .refine((type) => !isServers(type), {
        error: `Only the server writes ${SERVER_EVENTS.join(', ')}`,
        params: { type: 'event_of_server' },
      })
      .meta({
        description: `Anything but ${SERVER_EVENTS.join(', ')}, which the server alone writes`,
        example: 'note',
      }),
    /** Unix seconds; the server's clock where absent. */
    ts: optional(z.number().min(0).max(4_102_444_800)),
    status: label,
    /** At most some 24 days. */
    duration_ms: optional(z.int().min(0).max(2_147_483_647)),
    step: label,
    tool: label,
    req_id: label,
    lease_id: label,
    agent_id: optional(AgentId),
    message: optional(text(4096, 0)),
    data: optional(JsonObject),
  })
  .meta({ id: 'EventRequest' });
export type EventRequest = z.output<typeof EventRequest>;

export const EventAnswer = z
  .object({ ok: z.literal(true), event_id: z.string(), run_id: z.string() })
  .meta({ id: 'EventAnswer' });

export const RunEvent = z
  .object({
    id: z.string(),
    run_id: z.string(),
    ts: z.number().meta({ description: 'Unix seconds' }),
    type: z.string(),
    status: z.string().nullable(),
    duration_ms: z.int().nullable(),
    step: z.string().nullable(),
    tool: z.string().nullable(),
    req_id: z.string().nullable(),
    lease_id: z.string().nullable(),
    agent_id: z.string().nullable(),
    message: z.string().nullable(),
    data: JsonObject.nullable().meta({ description: LEFT_OUT }),
  })
  .meta({ id: 'RunEvent' });
export type RunEvent = z.output<typeof RunEvent>;

/** One line of the tenant's feed; what does not apply is left out. */
export const FeedEvent = z
  .object({
    ts: z.number().meta({ description: 'Unix seconds' }),
    type: z.string().meta({
      description:
        'locked, duplicate, ai_acquired, ai_in_progress, ai_completed, ai_failed, ai_extended, ai_canceled, or a change such as policy_set, tool_created, agent_disabled',
    }),
    key: z.string().optional(),
    charged: z.union([z.literal(0), z.literal(1)]).optional(),
    agent_id: z.string().optional(),
    tool: z.string().optional(),
    version: z.int().optional().meta({ description: 'Of the policy' }),
    data: JsonObject.optional().meta({ description: LEFT_OUT }),
  })
  .meta({ id: 'FeedEvent' });
export type FeedEvent = z.output<typeof FeedEvent>;

export const RunTimeline = z
  .object({ run_id: z.string(), total: z.int(), events: z.array(RunEvent) })
  .meta({ id: 'RunTimeline' });
export type RunTimeline = z.output<typeof RunTimeline>;

export const RunList = z
  .object({
    total: z.int(),
    items: z.array(
      z.object({
        run_id: z.string(),
        last_ts: z.number(),
        last_type: z.string(),
        last_status: z.string().nullable(),
        events_count: z.int(),
      }),
    ),
  })
  .meta({ id: 'RunList' });
export type RunList = z.output<typeof RunList>;
