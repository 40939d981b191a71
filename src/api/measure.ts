import type { RequestHandler } from 'express';
import type { Metrics } from '../metrics/metrics.ts';

/** The label of every request that no route was found for: a path is the caller's word, and there is no end of them. */
const UNMATCHED = 'unmatched';

/** Measures every answer, from the head of its request to its last byte. */
export const measure =
  (metrics: Pick<Metrics, 'answered'>): RequestHandler =>
  (request, response, next) => {
    const startedAt = performance.now();
    response.once('close', () => {
      metrics.answered({
        method: request.method,
        route: request.route?.path ?? UNMATCHED,
        status: response.writableFinished ? String(response.statusCode) : 'aborted',
        seconds: (performance.now() - startedAt) / 1000,
      });
    });
    next();
  };
