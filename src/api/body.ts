import express, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import { Refusal } from '../contracts/errors.ts';
import { type Invalid, ValidationError } from './validation.ts';

/** A body that is no JSON. */
export const brokenJson: Invalid = { type: 'json_invalid', loc: ['body'], msg: 'JSON decode error', input: null };

const hasBody = (request: Request): boolean =>
  request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;

/** Reads a JSON body of at most `maxBytes`; an absent or empty one is undefined. */
export function readBody(maxBytes: number): Array<RequestHandler | ErrorRequestHandler> {
  const onlyJson: RequestHandler = (request, _response, next) => {
    const declared = request.is(['application/json', 'application/*+json']);
    if (hasBody(request) && !declared) throw new Refusal('unsupported_media_type');
    // The parser would read all of it first.
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw new Refusal('payload_too_large');
    next();
  };
  // The parser makes an object of nothing: a body that was left out would be one that says nothing, and pass.
  const isEmpty = new WeakSet<object>();
  const isRead = new WeakSet<object>();
  const json = express.json({
    limit: maxBytes,
    strict: false,
    type: () => true,
    verify: (request, _response, bytes) => {
      isRead.add(request);
      if (bytes.length === 0) isEmpty.add(request);
    },
  });
  const absent: RequestHandler = (request, _response, next) => {
    if (isEmpty.has(request)) request.body = undefined;
    // The parser passes over a request whose connection is closed, as if it had no body: what was not read whole says
    // something else than its sender meant, and is not done.
    if (hasBody(request) && !(request.complete && isRead.has(request))) throw new ValidationError([brokenJson]);
    next();
  };
  const faults: ErrorRequestHandler = (error, _request, _response, next) => next(asOurs(error));
  return [onlyJson, json, absent, faults];
}

/** The parser's errors (https://www.npmjs.com/package/body-parser#errors) as the contract has them. */
function asOurs(error: unknown): unknown {
  const type = error instanceof Error && 'type' in error ? error.type : undefined;
  switch (type) {
    case 'entity.too.large':
      return new Refusal('payload_too_large');
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return new Refusal('unsupported_media_type');
    case 'entity.parse.failed':
    case 'request.size.invalid':
    case 'request.aborted':
    case 'stream.encoding.set':
    case 'stream.not.readable':
      return new ValidationError([brokenJson]);
    default:
      // A compressed body that is not what it says.
      if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) {
        return new ValidationError([
          { type: 'json_invalid', loc: ['body'], msg: 'Body cannot be decompressed', input: null },
        ]);
      }
      return error;
  }
}
