import { z } from 'zod';

import { Moment, optional, TenantId, text } from './common.ts';
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

export const KeyRequest = z
  .object({
    name: text(128).meta({ example: 'ci' }),
    scopes: optional(Scopes).meta({
      description: 'Default: read and write. admin includes write, write includes read',
    }),
    expires_at: optional(Future).meta({ description: 'Never, where absent; the past is refused' }),
  })
  .meta({ id: 'KeyRequest' });
export type KeyRequest = z.output<typeof KeyRequest>;

/** A key as it may be shown again and again: its secret is not in it. */
export const ApiKey = z
  .object({
    id: z.string().meta({ example: 'key_0123456789abcdef' }),
    name: z.string(),
    key_preview: z.string(),
    scopes: z.array(z.string()),
    created_at: Moment,
    expires_at: Moment.nullable(),
  })
  .meta({ id: 'ApiKey' });
export type ApiKey = z.output<typeof ApiKey>;

export const CreatedKey = ApiKey.extend({ key: z.string().meta({ description: 'Shown here and never again' }) }).meta({
  id: 'CreatedKey',
});
export type CreatedKey = z.output<typeof CreatedKey>;

export const RevokedKey = z.object({ ok: z.literal(true), id: z.string() }).meta({ id: 'RevokedKey' });

export const TenantRequest = z.object({ tenant: TenantId }).meta({ id: 'TenantRequest' });

export const CreatedTenant = z
  .object({ tenant: z.string(), api_key: z.string().meta({ description: 'An admin key, shown here and never again' }) })
  .meta({ id: 'CreatedTenant' });
export type CreatedTenant = z.output<typeof CreatedTenant>;
