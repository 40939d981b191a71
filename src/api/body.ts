import { isUtf8 } from 'node:buffer';
import express, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import { Refusal } from '../contracts/errors.ts';
import { readExactly, type Unreadable } from '../domain/exact-json.ts';
import { echo, type Invalid, ValidationError } from './validation.ts';

/** A body that is no JSON. */
export const brokenJson: Invalid = { type: 'json_invalid', loc: ['body'], msg: 'JSON decode error', input: null };

const hasBody = (request: Request): boolean =>
  request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;

/**
 * Reads a JSON body of at most `maxBytes`, and only what is kept exactly as it was sent; an absent or empty one is undefined.
 * Errors: 413, 415, 422 `json_invalid` with the place.
 */
export function readBody(maxBytes: number): Array<RequestHandler | ErrorRequestHandler> {
  const onlyJson: RequestHandler = (request, _response, next) => {
    const declared = request.is(['application/json', 'application/*+json']);
    if (hasBody(request) && !(declared && isDeclaredUtf8(request))) throw new Refusal('unsupported_media_type');
    // The reader would take all of it first.
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw new Refusal('payload_too_large');
    next();
  };
  const bytes = express.raw({ limit: maxBytes, type: () => true });
  const read: RequestHandler = (request, _response, next) => {
    const body: unknown = request.body;
    request.body = undefined;
    // The reader passes over a request whose connection is closed, as if it had no body: what was not read whole says
    // something else than its sender meant, and is not done.
    if (hasBody(request) && !(request.complete && Buffer.isBuffer(body))) throw new ValidationError([brokenJson]);
    if (Buffer.isBuffer(body) && body.length > 0) request.body = readBytes(body);
    next();
  };
  const faults: ErrorRequestHandler = (error, _request, _response, next) => next(asOurs(error));
  return [onlyJson, bytes, read, faults];
}

/** JSON has no charset (RFC 8259, 11), yet some clients name it. */
function isDeclaredUtf8({ headers }: Request): boolean {
  const [, charset] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(headers['content-type'] ?? '') ?? [];
  return charset === undefined || /^utf-?8$/i.test(charset);
}

const BYTE_ORDER_MARK = '\ufeff';

function readBytes(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw new ValidationError([{ ...brokenJson, msg: 'Body should be UTF-8' }]);
  const text = bytes.toString();
  const reading = readExactly(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
  if (reading.kind === 'unreadable') throw new ValidationError([invalidAt(reading)]);
  return reading.value;
}

const invalidAt = ({ why, path, position }: Unreadable): Invalid => ({
  ...brokenJson,
  loc: ['body', ...path.map((part) => (typeof part === 'string' ? String(echo(part)) : part))],
  msg: why,
  ctx: { position },
});

/** The reader's errors (https://www.npmjs.com/package/body-parser#errors) as the contract has them. */
function asOurs(error: unknown): unknown {
  const type = error instanceof Error && 'type' in error ? error.type : undefined;
  switch (type) {
    case 'entity.too.large':
      return new Refusal('payload_too_large');
    case 'encoding.unsupported':
      return new Refusal('unsupported_media_type');
    case 'request.size.invalid':
    case 'request.aborted':
    case 'stream.encoding.set':
    case 'stream.not.readable':
      return new ValidationError([brokenJson]);
    default:
      // A compressed body that is not what it says.
      if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) {
        return new ValidationError([{ ...brokenJson, msg: 'Body cannot be decompressed' }]);
      }
      return error;
  }
}
