import { isUtf8 } from 'node:buffer';
import type { JsonObject } from '../domain/answer.ts';
import { AnswerBody } from './body.ts';
import { BoundedBytes } from './bounded-bytes.ts';
import { areKnown, type Coding, codingNames, decode } from './coding.ts';

/** Twice what is kept of the content: room for a coding that makes it longer. */
const SUCCESS_LIMIT_BYTES = 2 * 1024 * 1024;
const FAILURE_LIMIT_BYTES = 128 * 1024;
/** Decoding, counting and hashing this much takes a fraction of a second; a few KiB can claim to be thousands of MiB. */
const DECODED_LIMIT_BYTES = 16 * 1024 * 1024;
/** Characters. */
const LONGEST_NAMES = 64;

/** A body on its way. `read` is undefined where it did not arrive whole. */
export type IncomingBody = {
  /** Takes the next piece. True when nothing that follows can matter any more. */
  add(chunk: Buffer): boolean;
  read(): JsonObject | Promise<JsonObject | undefined>;
};

/** Collects the body of an answer with this Content-Encoding; its pieces are added as they arrive. */
export function bodyOf(success: boolean, contentEncoding: string | string[] | undefined): IncomingBody {
  const codings = codingNames(contentEncoding);
  return codings.length === 0 ? new AnswerBody(success) : new EncodedBody(success, codings);
}

/**
 * Collects a body that says it is encoded, and decodes it once it is whole.
 *
 * | the body | is read as |
 * | --- | --- |
 * | decodes | its content, as {@link AnswerBody} has it |
 * | does not decode, breaks off, or goes on behind its end | broken |
 * | more than 2 MiB encoded or 16 MiB decoded (any other status than 2xx: 128 KiB encoded) | `truncated` |
 * | in a coding that is not known, or more than 3 of them | `undecoded`, unless it is UTF-8: then it is not encoded |
 *
 * The last two say `content_encoding`, and `bytes` and `sha256` are those of the body as it came; without them where a
 * failure was not read to its end.
 */
class EncodedBody implements IncomingBody {
  readonly #success: boolean;
  readonly #codings: string[];
  readonly #came = new BoundedBytes(SUCCESS_LIMIT_BYTES);

  constructor(success: boolean, codings: string[]) {
    this.#success = success;
    this.#codings = codings;
  }

  add(chunk: Buffer): boolean {
    this.#came.add(chunk);
    return this.#isCut();
  }

  async read(): Promise<JsonObject | undefined> {
    const known = areKnown(this.#codings) ? this.#codings : undefined;
    const all = this.#isCut() ? undefined : this.#came.all();
    if (all === undefined) return this.#described(known ? 'truncated' : 'undecoded');
    if (known) return await this.#decoded(all, known.toReversed());
    if (!isUtf8(all)) return this.#described('undecoded');
    const body = new AnswerBody(this.#success);
    body.add(all);
    return body.read();
  }

  /** What is left of `encoded` without these codings, the outermost first. */
  async #decoded(encoded: Buffer, [coding, ...inner]: Coding[]): Promise<JsonObject | undefined> {
    // Nothing needs no coding: a 204 may name one.
    if (coding === undefined || encoded.length === 0) return {};
    if (inner.length > 0) {
      const between = new BoundedBytes(SUCCESS_LIMIT_BYTES);
      const how = await decode(coding, encoded, (piece) => {
        between.add(piece);
        return between.bytes > SUCCESS_LIMIT_BYTES;
      });
      const all = between.all();
      if (how === 'broken') return undefined;
      return all ? await this.#decoded(all, inner) : this.#described('truncated');
    }
    const body = new AnswerBody(this.#success);
    let bytes = 0;
    const how = await decode(coding, encoded, (piece) => {
      bytes += piece.length;
      return body.add(piece) || bytes > DECODED_LIMIT_BYTES;
    });
    if (how === 'broken') return undefined;
    // Enough of a failure is all that there is to say; a success had more than could be looked at.
    return how === 'stopped' && this.#success ? this.#described('truncated') : body.read();
  }

  /** A failure is not read beyond its limit. */
  #isCut(): boolean {
    return !this.#success && this.#came.bytes > FAILURE_LIMIT_BYTES;
  }

  #described(why: 'truncated' | 'undecoded'): JsonObject {
    const names = this.#codings.join(', ').replace(/[^\x20-\x7e]/g, '?');
    return {
      [why]: true,
      content_encoding: names.slice(0, LONGEST_NAMES),
      ...(this.#isCut() ? {} : { bytes: this.#came.bytes, sha256: this.#came.sha256() }),
    };
  }
}
