import { parse as parseLossless } from 'lossless-json';
import type { JsonObject } from '../domain/answer.ts';
import { isExact, mayHoldInexact } from '../domain/exact-number.ts';
import { BoundedBytes } from './bounded-bytes.ts';

const SUCCESS_LIMIT_BYTES = 1024 * 1024;
const STORED_LIMIT_BYTES = SUCCESS_LIMIT_BYTES + 64 * 1024;
const FAILURE_LIMIT_BYTES = 64 * 1024;
/** `JSON.stringify` and most stores recurse; what is deeper travels as text. */
const DEEPEST_JSON = 100;

/**
 * Collects the body of an answer within bounds. A 2xx is kept up to 1 MiB; beyond, it is only counted and hashed,
 * because its effect has happened and the answer must be told apart from others. Of any other status 64 KiB are kept.
 */
export class AnswerBody {
  readonly #success: boolean;
  readonly #came: BoundedBytes;

  constructor(success: boolean) {
    this.#success = success;
    // Of a failure nothing comes once `add` has said so.
    this.#came = new BoundedBytes(success ? SUCCESS_LIMIT_BYTES : Number.POSITIVE_INFINITY);
  }

  /** Takes the next piece. True when nothing that follows can matter any more. */
  add(chunk: Buffer): boolean {
    this.#came.add(chunk);
    return !this.#success && this.#came.bytes > FAILURE_LIMIT_BYTES;
  }

  /** The body as the contract shows it: an object, `{value}`, or what is known of one that was too long. */
  read(): JsonObject {
    const kept = this.#came.all();
    if (kept === undefined) return this.#described();
    if (!this.#success && kept.length > FAILURE_LIMIT_BYTES) {
      return { value: storable(decode(kept.subarray(0, FAILURE_LIMIT_BYTES))), truncated: true };
    }
    if (kept.length === 0) return {};
    const body = readText(decode(kept));
    // Escapes can make the stored form several times as long as what arrived, and Temporal keeps 2 MiB at the most.
    return Buffer.byteLength(JSON.stringify(body)) <= STORED_LIMIT_BYTES ? body : this.#described();
  }

  #described(): JsonObject {
    return { truncated: true, bytes: this.#came.bytes, sha256: this.#came.sha256() };
  }
}

/**
 * Retry-After (RFC 9110, section 10.2.3) in whole seconds, never negative; undefined when absent or not understood.
 * `nowMs` is unix time.
 */
export function retryAfterSeconds(header: string | string[] | undefined, nowMs: number): number | undefined {
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  if (/^\d{1,15}$/.test(text)) return Number(text);
  // Date.parse also takes "-5" for a date, and asctime dates for local time.
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return undefined;
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - nowMs) / 1000));
}

/** Invalid UTF-8 becomes U+FFFD, a byte order mark goes. */
function decode(bytes: Buffer): string {
  return new TextDecoder().decode(bytes);
}

function readText(text: string): JsonObject {
  let parsed: unknown;
  try {
    parsed = parseExactly(text);
  } catch {
    return { value: storable(text) };
  }
  if (isDeeper(parsed, DEEPEST_JSON)) return { value: storable(text) };
  // Parsed JSON can only hold what PostgreSQL refuses if it was escaped in the text.
  const safe = /\\u(0000|d[89a-f])/i.test(text) ? storable(parsed) : parsed;
  return isJsonObject(safe) ? safe : { value: safe };
}

/**
 * As `JSON.parse` reads it, but a number that a double does not hold is the text of its digits: what a tool answers
 * cannot be refused. Throws for what is no JSON, or nests deeper than the stack is.
 */
function parseExactly(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  // The other parser is several times slower, and recurses.
  if (!mayHoldInexact(text) || isDeeper(parsed, DEEPEST_JSON)) return parsed;
  return parseLossless(text, undefined, {
    parseNumber: (number) => (isExact(number) ? Number(number) : number),
    onDuplicateKey: ({ newValue }) => newValue,
  });
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

/** PostgreSQL stores neither NUL nor lone surrogates: both become U+FFFD, in names as in values. */
function storable(value: unknown): unknown {
  if (typeof value === 'string') return Buffer.from(value.replaceAll('\0', '\ufffd'), 'utf8').toString('utf8');
  if (Array.isArray(value)) return value.map(storable);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [storable(name), storable(inner)]));
}
