import { z } from 'zod';
import { AgentId, JsonObject, limit, Moment, ToolName, text } from './common.ts';
import { LeftOut, NumericCursor } from './page.ts';

/** A line of the trail. `seq` and the hashes are null until it is sealed. */
export const AuditItem = z
  .object({
    seq: z.int().nullable(),
    ts: Moment,
    type: z.string(),
    actor: z.string().nullable().meta({ description: 'Who was authenticated' }),
    claimed_actor: z.string().nullable().meta({ description: 'Whom they named' }),
    agent_id: z.string().nullable(),
    tool: z.string().nullable(),
    tool_version: z.int().nullable(),
    action_id: z.string().nullable(),
    key: z.string().nullable(),
    decision: z.string().nullable(),
    policy_reason: z.string().nullable(),
    policy_version: z.int().nullable(),
    spend_usd: z.number(),
    args_hash: z.string().nullable(),
    reason: z.string().nullable(),
    detail: z.union([LeftOut, JsonObject]).nullable().meta({
      description: 'What else there is to it; in pages of more than one line at most 4 KiB, whole in a stream',
    }),
    prev_hash: z.string().nullable(),
    hash: z.string().nullable(),
  })
  .meta({ id: 'AuditItem' });
export type AuditItem = z.output<typeof AuditItem>;

export const AuditList = z
  .object({
    items: z.array(AuditItem),
    next_cursor: z.string().nullable().meta({
      description: 'Null at the end; until then a page may be shorter than its limit, where little matches',
    }),
  })
  .meta({ id: 'AuditList' });
export type AuditList = z.output<typeof AuditList>;

/** ISO 8601 with a zone, or a day in UTC; to the millisecond. */
const Instant = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()])
  .transform((moment) => Date.parse(moment) * 1000)
  .meta({ type: 'string', example: '2026-11-24T00:00:00Z' });

export const AuditQuery = z.object({
  agent_id: AgentId.optional(),
  tool: ToolName.optional(),
  type: text(64).optional(),
  decision: text(64).optional(),
  from: Instant.optional().meta({ description: 'From this moment on' }),
  to: Instant.optional().meta({ description: 'Before this moment' }),
  limit: limit(1000, 100),
  cursor: NumericCursor.optional(),
  format: z
    .enum(['json', 'ndjson', 'csv'])
    .default('json')
    .meta({ description: 'json: a page; ndjson and csv: all that matches, streamed, whatever limit and cursor say' }),
});
export type AuditQuery = z.output<typeof AuditQuery>;
