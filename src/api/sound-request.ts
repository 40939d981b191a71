import type { RequestHandler } from 'express';
import { Refusal } from '../contracts/errors.ts';

/** Longest path with its query, in characters; every cursor and filter fits many times. */
export const MAX_URL = 8_192;

/**
 * Refuses what the parser lets pass and HTTP does not: a request of 1.1 names its host (RFC 9112, 3.2), and an address is ASCII (RFC
 * 3986, 2), whose other bytes nobody could tell the characters of.
 */
export const onlySound: RequestHandler = (request, _response, next) => {
  if (request.url.length > MAX_URL) throw new Refusal('uri_too_long');
  if (!/^[\x21-\x7e]*$/.test(request.url)) throw new Refusal('bad_request');
  if (request.httpVersion === '1.1' && request.headers.host === undefined) throw new Refusal('bad_request');
  next();
};
