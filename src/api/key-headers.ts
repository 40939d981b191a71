import type { z } from 'zod';
import { Key, Owner } from '../contracts/common.ts';
import { parsePart, ValidationError } from './validation.ts';

/** Each time a header was sent, what it said: nothing is joined. */
export type SentHeaders = (name: string) => readonly string[];

const OWNER_MEMBER = 'onceonly_owner';

/** A string of RFC 8941, section 3.3.3, without parameters. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
/** Printable ASCII that neither ends a string nor joins two values. */
const BARE = /^[\x21\x23-\x2b\x2d-\x7e]+$/;

/**
 * The `Idempotency-Key` of a request (IETF draft httpapi-idempotency-key-header), or none.
 *
 * @throws {ValidationError} where it is there twice, is neither a string nor bare, is empty or over 256 characters.
 */
export const idempotencyKeyOf = (sent: SentHeaders): string | undefined => valueSent(sent, 'Idempotency-Key', Key);

/** What a lock, a lease or a run is asked for with, as far as it says by whom. */
interface Owned {
  readonly owner?: string | undefined;
  readonly metadata?: ({ readonly [OWNER_MEMBER]?: string | undefined } & Record<string, unknown>) | undefined;
}

/**
 * The same with its owner in `owner`, who may be named there, by the header `X-OnceOnly-Owner`, or by `metadata.onceonly_owner`,
 * which clients that know neither repeat as it is. Whoever knows an owner gets its lease: it is kept with nothing else.
 *
 * @throws {ValidationError} where two of them differ, or the header is unusable.
 */
export function withOwner<T extends Owned>(body: T, sent: SentHeaders): T {
  const { [OWNER_MEMBER]: inMetadata, ...metadata } = body.metadata ?? {};
  const [owner, ...others] = new Set(
    [body.owner, valueSent(sent, 'X-OnceOnly-Owner', Owner), inMetadata].filter((one) => one !== undefined),
  );
  if (others.length > 0) {
    const msg = `owner, X-OnceOnly-Owner and metadata.${OWNER_MEMBER} should be the same`;
    throw new ValidationError([{ type: 'value_error', loc: ['body', 'owner'], msg, input: null }]);
  }
  return { ...body, owner, ...(body.metadata && { metadata }) };
}

/** `"K"` and `K` are one value; two of them, or two that a proxy has joined, are none. */
function valueSent(sent: SentHeaders, name: string, schema: z.ZodType<string>): string | undefined {
  const [value, ...others] = sent(name);
  if (value === undefined) return undefined;
  const [, quoted] = QUOTED.exec(value) ?? [];
  if (others.length > 0 || (quoted === undefined && !BARE.test(value))) {
    const msg = 'Header should be one string in double quotes, or printable ASCII without comma, quote and space';
    throw new ValidationError([{ type: 'value_error', loc: ['header', name], msg, input: null }]);
  }
  return parsePart(schema, quoted?.replaceAll(/\\(["\\])/g, '$1') ?? value, 'header', name);
}
