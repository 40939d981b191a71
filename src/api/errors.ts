import type { ErrorRequestHandler, Request, Response } from 'express';
import type { Logger } from 'pino';
import { Refusal, type RefusalCode, refusals } from '../contracts/errors.ts';
import { isTemporalUnavailable } from '../engine/faults.ts';
import { isDatabaseAnswerLost, isDatabaseUnavailable } from '../store/database.ts';
import { RateLimited } from './limit.ts';
import { ValidationError } from './validation.ts';

/** Seconds after which a refused request may be tried again. */
const RETRY_AFTER_SECONDS = '1';

/** The `detail` of what nobody expected: it shows nothing. */
export const internal = { error: 'internal', message: 'Something went wrong on our side' } as const;

/** The `detail` of a refusal as the wire has it. */
export function detailOf(code: RefusalCode, extra: Record<string, unknown> = {}): unknown {
  const entry: { text?: string; message?: string; error?: string } = refusals[code];
  if (entry.text !== undefined) return entry.text;
  return { error: entry.error ?? code, ...(entry.message !== undefined && { message: entry.message }), ...extra };
}

/** Whatever was thrown becomes an answer in the contract's shape; what nobody expected is logged and shows nothing. */
export const answerErrors =
  (log: Logger): ErrorRequestHandler =>
  (error, request, response, next) => {
    // An answer that has begun cannot be changed; the connection is closed so that the client sees it is not whole.
    if (response.headersSent) return next(error);
    if (error instanceof ValidationError) {
      response.status(422).json({ detail: error.invalid });
      return;
    }
    const refusal = asRefusal(error, request);
    if (refusal === undefined) {
      log.error({ err: error, ...about(request, response) }, 'a request failed unexpectedly');
      response.status(500).json({ detail: internal });
      return;
    }
    const { status } = refusals[refusal.code];
    if (status === 503) {
      log.warn({ err: error, ...about(request, response) }, 'unavailable');
      response.set('Retry-After', RETRY_AFTER_SECONDS);
    }
    if (refusal instanceof RateLimited) response.set('Retry-After', String(refusal.retryAfterSeconds));
    response.status(status).json({ detail: detailOf(refusal.code, refusal.extra) });
  };

/** By the id that the caller has too, and by no path or value of its own. */
const about = (request: Request, response: Response) => ({
  requestId: response.get('X-Request-Id'),
  method: request.method,
  route: request.route?.path,
});

function asRefusal(error: unknown, { method }: Request): Refusal | undefined {
  if (error instanceof Refusal) return error;
  // A path whose percent-encoding is broken names nothing.
  if (error instanceof URIError) return new Refusal('not_found');
  // What was on its way when the connection broke may be there: a read changes nothing, anything else may have.
  if (method !== 'GET' && isDatabaseAnswerLost(error)) return new Refusal('outcome_unknown', {}, error);
  if (isDatabaseUnavailable(error) || isTemporalUnavailable(error)) return new Refusal('unavailable', {}, error);
  return undefined;
}
