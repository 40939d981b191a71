import { z } from 'zod';
import { MAX_DEPTH } from './depth.ts';
import { DEFAULT_TENANT } from './tenant.ts';

const CONTROL_NUL = '\u0000';

const isKeptText = (value: string): boolean => value.isWellFormed() && !value.includes(CONTROL_NUL);

const codePoints = (text: string): number => {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
};

/** Text of 1 to `max` characters (code points) that PostgreSQL and a workflow ID can keep: well-formed Unicode, no NUL. */
export const text = (max: number, min = 1) =>
  z
    .string()
    .refine(isKeptText, {
      error: 'String should be well-formed Unicode without NUL',
      params: { type: 'string_unicode' },
      abort: true,
    })
    .refine((value) => codePoints(value) >= min, {
      error: `String should have at least ${min} character`,
      params: { type: 'string_too_short' },
      abort: true,
    })
    .refine((value) => codePoints(value) <= max, {
      error: `String should have at most ${max} characters`,
      params: { type: 'string_too_long' },
    })
    .meta({ minLength: min, maxLength: max, pattern: '^[^\\u0000]*$' });

/** Text that is cut after `max` characters, and loses what cannot be kept: what has to be done does not fail for its comment. */
export const cutText = (max: number, min = 0) =>
  z
    .string()
    .min(min)
    .transform((value) => Array.from(value.toWellFormed().replaceAll(CONTROL_NUL, '')).slice(0, max).join(''))
    .meta({ type: 'string', minLength: min, description: `Cut after ${max} characters` });

/** An optional field of a request: absent and `null` are the same (contract, section 1). */
export const optional = <S extends z.ZodType>(schema: S) =>
  z
    // A union of one is the same schema, and what the reference says of it can be changed: that of a bare reference cannot.
    .preprocess((value) => value ?? undefined, z.union([schema]).optional())
    .meta({ override: orNull })
    .optional();

/** What the reference says of it: the preprocessing itself has no schema. */
function orNull({ jsonSchema, io }: { jsonSchema: { [name: string]: unknown }; io: 'input' | 'output' }): void {
  if (io === 'output') return;
  const { description, example, examples, ...own } = jsonSchema;
  for (const name of Object.keys(own)) delete jsonSchema[name];
  const schemas = Array.isArray(own.anyOf) ? own.anyOf : [own];
  jsonSchema.anyOf = [...schemas, { type: 'null' }];
}

function keepable(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return isKeptText(value);
  // An integer above 2^53 has already lost digits in parsing: two different calls would look the same.
  if (typeof value === 'number') return Number.isFinite(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER;
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((item) => keepable(item, depth + 1));
  return Object.entries(value).every(([name, item]) => isKeptText(name) && keepable(item, depth + 1));
}

export type JsonObject = { [key: string]: unknown };

/** Any JSON object that can be kept exactly: well-formed text without NUL, numbers within ±2^53, at most {@link MAX_DEPTH} deep. */
export const JsonObject = z
  .record(z.string(), z.unknown())
  .refine((value) => keepable(value, 0), {
    error: `Object should hold well-formed text without NUL, numbers within 2^53 and at most ${MAX_DEPTH} levels`,
    params: { type: 'json_unkeepable' },
    abort: true,
  })
  .meta({ type: 'object', additionalProperties: { $ref: '#/components/schemas/JsonValue' } });

/** What a {@link JsonObject} may hold, for who reads the reference; the refinement above is what checks it. */
export const JsonValue = z
  .union([
    z.string(),
    z.number().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER),
    z.boolean(),
    z.null(),
    z.array(z.unknown().meta({ $ref: '#/components/schemas/JsonValue' })),
    z.record(z.string(), z.unknown().meta({ $ref: '#/components/schemas/JsonValue' })),
  ])
  .meta({ id: 'JsonValue' });

/** A JSON object of at most `maxBytes` bytes of UTF-8 once serialised. */
export const boundedObject = (maxBytes: number) =>
  JsonObject.refine((value) => Buffer.byteLength(JSON.stringify(value)) <= maxBytes, {
    error: `Object should take at most ${maxBytes} bytes as JSON`,
    params: { type: 'too_long' },
  });

/** An idempotency or lease key: 1 to 256 characters, scoped to the tenant. */
export const Key = text(256).meta({ description: 'Scoped to the tenant', example: 'charge:invoice-789' });

/** Who asks; a repeat by the same owner gets its own lock or lease again. */
export const Owner = text(128).meta({ example: 'worker-7' });

/** Seconds. Above the plan's maximum it is clamped, 1 to 9 is raised to 10, 0, negative or fractional is refused. */
export const Ttl = z.int().min(1).meta({ description: 'Seconds', example: 3600 });

/** What metadata may say of its own; a client that has no field for an owner names it here. */
export const ownerInMetadata = { onceonly_owner: optional(Owner) };

/** Free data about a lock or a lease, at most 2,048 bytes as JSON. */
export const Metadata = boundedObject(2048).pipe(z.looseObject(ownerInMetadata)).meta({ id: 'Metadata' });

/** Tenants are named in workflow IDs, hence the narrow alphabet (contract, section 13). */
export const TenantId = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,39}$/);

/** The tenant of a workflow's input. */
export const Tenant = z.preprocess((value) => value ?? DEFAULT_TENANT, TenantId);

/** Who asked, for the audit trail. */
export const Actor = text(256);

/** What two names can differ in that look alike: controls, formats, what is drawn as nothing. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** The same as far as the dialects of patterns agree: within the basic plane. */
const SEEN =
  '[^\\s\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\uffff]';
export const AGENT_ID_PATTERN = `${SEEN}(${SEEN.replace('\\s', '')}*${SEEN})?`;

/**
 * The name of an agent: 1 to 128 characters, kept in NFC, so that one that looks like another is the other (UAX #15). Space
 * around it, controls and characters that are drawn as nothing are refused: by each of them an agent would have another budget.
 */
export const AgentId = z
  .string()
  .normalize('NFC')
  .pipe(
    text(128)
      .refine((value) => value.trim() === value, {
        error: 'String should have no space around it',
        params: { type: 'string_not_trimmed' },
        abort: true,
      })
      .refine((value) => !UNSEEN.test(value), {
        error: 'String should have no control or format characters',
        params: { type: 'string_unseen' },
      }),
  )
  .meta({ minLength: 1, maxLength: 128, pattern: `^${AGENT_ID_PATTERN}$`, example: 'billing-agent' });
export const ToolName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[a-zA-Z0-9_.:-]+$/)
  .meta({ example: 'stripe.charge' });
export const RunId = text(256).meta({ example: 'run-2026-11-24' });

/** US dollars, 0 to 1,000,000,000; kept as whole micro-dollars. */
export const Usd = z.number().min(0).max(1_000_000_000);

/** Whether it is the very number that a decimal of six digits is read as: `0.1 + 0.2` is another one. */
const isWholeMicros = (usd: number): boolean => Math.round(usd * 1_000_000) / 1_000_000 === usd;

/** The same where it is set and kept: what is less than a micro-dollar would be kept as free. */
export const Price = Usd.refine(isWholeMicros, {
  error: 'Input should be a whole number of micro-dollars (0.000001)',
  params: { type: 'multiple_of' },
}).meta({ multipleOf: 0.000001 });

/** A moment as ISO 8601 in UTC, by the database's clock. */
export const Moment = z.iso.datetime();

/** A whole number of a query; an empty text is none. */
const queryInt = (min: number, max: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value),
    z.int().min(min).max(max),
  );

/** A limit of a list, which has to lie within its bounds (outside: 422). */
export const limit = (max: number, fallback: number) => queryInt(1, max).default(fallback);
export const offset = (max: number) => queryInt(0, max).default(0);
export const Offset = offset(1_000_000_000);
