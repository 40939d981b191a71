import { z } from 'zod';
import { AgentId, JsonObject, optional, RunId, text } from './common.ts';

const WholeSeconds = z.int().meta({ description: 'Unix seconds' });

const LEFT_OUT = 'As LeftOut where the list would be larger than 4 MiB with it; the first is always whole';
const label = optional(text(256));

/** What a timeline is made of that nobody but the server may say. */
export const SERVER_EVENTS = ['run_started', 'tool_call', 'tool_result', 'run_finished'] as const;
export type ServerEvent = (typeof SERVER_EVENTS)[number];
const isServers = (type: string): boolean => SERVER_EVENTS.some((one) => one === type);

/** Up to the year 2100. */
const MAX_SECONDS = 4_102_444_800;
/** Thirteen digits. */
const MIN_MILLISECONDS = 1e12;

/** A moment that a client says in seconds, or in milliseconds as JavaScript has it; the server's clock where absent. */
const Instant = z
  .number()
  .min(0)
  .max(MAX_SECONDS * 1000)
  .refine((ts) => ts <= MAX_SECONDS || ts >= MIN_MILLISECONDS, {
    error: 'Input should be unix seconds, or milliseconds of 13 digits',
    params: { type: 'value_error' },
  })
  .transform((ts) => (ts < MIN_MILLISECONDS ? ts : ts / 1000))
  .meta({ description: 'Unix seconds, or milliseconds of 13 digits' });

export const EventRequest = z
  .looseObject({
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
    ts: optional(Instant),
    status: label,
    /** At most some 24 days; kept whole. */
    duration_ms: optional(z.number().min(0).max(2_147_483_647).transform(Math.round)),
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

/** An event as a timeline keeps it. */
export interface NewEvent {
  readonly run_id: string;
  readonly type: string;
  /** Unix seconds. */
  readonly ts?: number | undefined;
  readonly status?: string | undefined;
  readonly duration_ms?: number | undefined;
  readonly step?: string | undefined;
  readonly tool?: string | undefined;
  readonly req_id?: string | undefined;
  readonly lease_id?: string | undefined;
  readonly agent_id?: string | undefined;
  readonly message?: string | undefined;
  readonly data?: JsonObject | undefined;
}

/** What a client says beyond the fields of an event is kept in its `data`, whose own members go before. */
export function eventOf(request: EventRequest): NewEvent {
  const { run_id, type, ts, status, duration_ms, step, tool, req_id, lease_id, agent_id, message, data, ...beyond } =
    request;
  const event = { run_id, type, ts, status, duration_ms, step, tool, req_id, lease_id, agent_id, message, data };
  return Object.keys(beyond).length === 0 ? event : { ...event, data: { ...beyond, ...data } };
}

export const EventAnswer = z
  .object({ ok: z.literal(true), event_id: z.int(), run_id: z.string() })
  .meta({ id: 'EventAnswer' });

export const RunEvent = z
  .object({
    id: z.int(),
    run_id: z.string(),
    ts: WholeSeconds,
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
    ts: WholeSeconds,
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
        last_ts: WholeSeconds,
        last_type: z.string(),
        last_status: z.string().nullable(),
        events_count: z.int(),
      }),
    ),
  })
  .meta({ id: 'RunList' });
export type RunList = z.output<typeof RunList>;
