import type { RequestHandler } from 'express';
import type { Limiter } from '../cache/limiter.ts';
import { Refusal } from '../contracts/errors.ts';
import type { Tallies } from '../store/tallies.ts';

/** `rate_limited`, and when to come again: the wire has it as whole seconds, at least one. */
export class RateLimited extends Refusal {
  readonly retryAfterSeconds: number;

  constructor(waitMs: number) {
    super('rate_limited');
    this.retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  }
}

/** Lets each key ask as often as it may; what is refused is counted and not audited, so that a flood writes nothing. */
export const limitKeys =
  (limiter: Limiter, tallies: Tallies): RequestHandler =>
  async (_request, response, next) => {
    const { keyId, tenant } = response.locals.principal;
    const wait = await limiter.take(keyId);
    if (wait !== undefined) {
      tallies.count(tenant, 'rate_limited');
      throw new RateLimited(wait);
    }
    next();
  };
