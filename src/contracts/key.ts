import { z } from 'zod';

import { AgentId, Moment, optional, TenantId, text } from './common.ts';
import { scopes } from './scope.ts';

const Scopes = z
  .array(z.enum(scopes))
  .min(1)
  .max(16)
  // One order, each once: two requests for the same scopes are the same request.
  .transform((asked) => scopes.filter((scope) => asked.includes(scope)))
  .meta({ type: 'array', items: { type: 'string', enum: [...scopes] } });

/** PostgreSQL and ISO 8601 both end with the year 9999. */
const END_OF_TIME = Date.UTC(10_000, 0);

const Future = z.iso
  .datetime({ offset: true })
  .transform((moment) => Date.parse(moment))
  .refine((moment) => moment >= 0 && moment < END_OF_TIME, { error: 'Input should be a moment in the future' })
  .transform((moment) => new Date(moment).toISOString())
  .meta({ type: 'string', format: 'date-time', example: '2027-01-01T00:00:00Z' });

/** Agents a key may be bound to. */
const MAX_BOUND_AGENTS = 100;

const AgentIds = z
  .array(AgentId)
  .min(1)
  .max(MAX_BOUND_AGENTS)
  .transform((asked) => [...new Set(asked)].sort())
  .meta({ type: 'array', items: { type: 'string' } });

/** What a key is made with where nothing else is asked for. */
export const DEFAULT_SCOPES = ['agent'] as const;

export const KeyRequest = z
  .object({
    name: text(128).meta({ example: 'ci' }),
    scopes: optional(Scopes).meta({
      description: 'Default: agent. None includes another; admin alone may do everything',
    }),
    agent_ids: optional(AgentIds).meta({
      description: 'The agents it speaks for and sees; any where absent. Not with admin, which is above all of them',
    }),
    expires_at: optional(Future).meta({ description: 'Never, where absent; the past is refused' }),
  })
  .refine(({ scopes: asked = [], agent_ids }) => agent_ids === undefined || !asked.includes('admin'), {
    path: ['agent_ids'],
    error: 'A key with the scope admin cannot be bound to agents',
  })
  .meta({ id: 'KeyRequest' });
export type KeyRequest = z.output<typeof KeyRequest>;

/** A key as it may be shown again and again: its secret is not in it. */
export const ApiKey = z
  .object({
    id: z.string().meta({ example: 'key_0123456789abcdef' }),
    name: z.string(),
    key_preview: z.string(),
    scopes: z.array(z.enum(scopes)),
    agent_ids: z.array(z.string()).nullable().meta({ description: 'null: any' }),
    created_at: Moment,
    expires_at: Moment.nullable(),
    last_used_at: Moment.nullable().meta({ description: 'To the minute' }),
  })
  .meta({ id: 'ApiKey' });
export type ApiKey = z.output<typeof ApiKey>;

export const CreatedKey = ApiKey.extend({ key: z.string().meta({ description: 'Shown here and never again' }) }).meta({
  id: 'CreatedKey',
});
export type CreatedKey = z.output<typeof CreatedKey>;

/** What to change of a key; the rest stays as it is. */
export const KeyChange = z
  .object({
    name: optional(text(128)),
    expires_at: optional(Future).meta({ description: 'The past is refused: revoke it instead' }),
  })
  .meta({ id: 'KeyChange' });
export type KeyChange = z.output<typeof KeyChange>;

/** For how many seconds the key as it was still opens; 30 days at most. */
export const KeyRotation = z
  .object({ overlap_seconds: optional(z.int().min(0).max(2_592_000)) })
  .meta({ id: 'KeyRotation' });

export const RotatedKey = CreatedKey.extend({
  previous_valid_until: Moment.nullable().meta({ description: 'null: it has ended' }),
}).meta({ id: 'RotatedKey' });
export type RotatedKey = z.output<typeof RotatedKey>;

export const RevokedKey = z.object({ ok: z.literal(true), id: z.string() }).meta({ id: 'RevokedKey' });

export const TenantRequest = z.object({ tenant: TenantId }).meta({ id: 'TenantRequest' });

export const CreatedTenant = z
  .object({ tenant: z.string(), api_key: z.string().meta({ description: 'An admin key, shown here and never again' }) })
  .meta({ id: 'CreatedTenant' });
export type CreatedTenant = z.output<typeof CreatedTenant>;
