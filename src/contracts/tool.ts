import { z } from 'zod';
import { AGENT_ID_PATTERN, AgentId, JsonObject, Moment, optional, Price, ToolName, text } from './common.ts';
import { ToolHeaders } from './tool-headers.ts';

/** `global`, or `agent:` and an agent id: that agent's own tool, which hides the global one of the same name. */
export const ScopeId = z
  .string()
  .normalize('NFC')
  .refine(
    (scope) =>
      scope === 'global' || (scope.startsWith('agent:') && AgentId.safeParse(scope.slice('agent:'.length)).success),
    { error: 'Scope should be global or agent:<id>', params: { type: 'string_pattern_mismatch' } },
  )
  .meta({ pattern: `^(global|agent:${AGENT_ID_PATTERN})$`, maxLength: 134, example: 'global' });

const Url = text(2048).refine((value) => URL.canParse(value), {
  error: 'Input should be a valid URL',
  params: { type: 'url_parsing' },
});

/** Idempotency window in seconds, at most 30 days; 0 turns it off. */
const DedupTtl = z.int().min(0).max(2_592_000);

/** Standard Webhooks takes what follows `whsec_` for base64; a receiver could not decode anything else. */
const Secret = text(512, 8).refine(
  (secret) => !secret.startsWith('whsec_') || isBase64(secret.slice('whsec_'.length)),
  {
    error: 'What follows whsec_ should be base64',
    params: { type: 'value_error' },
  },
);
const isBase64 = (encoded: string): boolean => z.base64().safeParse(encoded).success && encoded !== '';

export const ToolRequest = z
  .object({
    name: ToolName,
    scope_id: optional(ScopeId),
    url: Url,
    auth: optional(
      z.object({
        type: z.literal('hmac_sha256'),
        secret: optional(Secret.meta({ writeOnly: true, example: 'a-long-shared-secret' })),
      }),
    ),
    timeout_ms: optional(z.int().min(250).max(120_000)),
    max_retries: optional(z.int().min(0).max(10)),
    enabled: optional(z.boolean()),
    description: optional(text(512, 0)),
    price_usd: optional(Price),
    idempotent: optional(z.boolean()),
    dedup_ttl: optional(DedupTtl),
    status_url: optional(Url),
    input_schema: optional(JsonObject),
    headers: optional(ToolHeaders),
  })
  .meta({ id: 'ToolRequest' });
export type ToolRequest = z.output<typeof ToolRequest>;

export const Tool = z
  .object({
    name: z.string(),
    scope_id: z.string(),
    url: z.string(),
    auth: z.object({ type: z.literal('hmac_sha256') }),
    timeout_ms: z.int(),
    max_retries: z.int(),
    enabled: z.boolean(),
    description: z.string().nullable(),
    price_usd: z.number().nullable(),
    idempotent: z.boolean(),
    dedup_ttl: z.int(),
    status_url: z.string().nullable(),
    input_schema: JsonObject.nullable().meta({
      description: 'In a list that would be larger than 4 MiB with it as LeftOut',
    }),
    headers: z.array(z.string()).meta({ description: 'Their names; the values are never shown' }),
    has_secret: z.boolean(),
    secret_id: z.string(),
    secret_mask: z.string(),
    version: z.int().meta({ description: 'Rises with every change but a switch, for ever' }),
    created_at: Moment,
    updated_at: Moment,
  })
  .meta({ id: 'Tool' });
export type Tool = z.output<typeof Tool>;

/** The next secret, chosen here where none is given, and for how many seconds the known one still signs (30 days at most). */
export const RotateRequest = z
  .object({
    secret: optional(Secret.meta({ writeOnly: true, example: 'another-shared-secret' })),
    overlap_seconds: optional(z.int().min(0).max(2_592_000)),
  })
  .meta({ id: 'RotateRequest' });
export type RotateRequest = z.output<typeof RotateRequest>;

export const RotatedSecret = z
  .object({
    name: z.string(),
    scope_id: z.string(),
    secret_id: z.string(),
    secret_mask: z.string(),
    /** Only where it was chosen here; it is told once. */
    secret: z.string().optional(),
    previous_valid_until: Moment.nullable(),
  })
  .meta({ id: 'RotatedSecret' });
export type RotatedSecret = z.output<typeof RotatedSecret>;

export const ToggleRequest = z.object({ enabled: z.boolean() }).meta({ id: 'ToggleRequest' });
export const ToggleAnswer = z.object({ name: z.string(), enabled: z.boolean() }).meta({ id: 'ToggleAnswer' });
export const DeleteToolAnswer = z
  .object({ ok: z.literal(true), deleted: z.string(), scope_id: z.string() })
  .meta({ id: 'DeleteToolAnswer' });
