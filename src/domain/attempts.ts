import type { Effect } from './answer.ts';

/** An attempt's effect; `open` is one that was claimed and has not told its end: its request may have left. */
export type AttemptEffect = Effect | 'open';

/** The part of a registered tool that decides about repeats. `maxRetries` counts sends after the first, 0–10. */
export interface RetryRules {
  readonly idempotent: boolean;
  readonly maxRetries: number;
}

/** `remember`: a repeat of the same key gets this failure again instead of a call of its own. */
export type Conclusion =
  | { readonly kind: 'executed' | 'retry' | 'in_doubt' }
  | { readonly kind: 'failed'; readonly remember: boolean };

/** Whether the tool may have acted on an attempt, as far as anybody here can know. */
export const mayHaveActed = (effect: AttemptEffect): boolean =>
  effect === 'executed' || effect === 'unknown' || effect === 'crashed' || effect === 'open';

/**
 * What an action's attempts together mean for it, after the last of them has ended. `attempts` is in their order and not
 * empty.
 *
 * | attempts so far | the last one | then |
 * | --- | --- | --- |
 * | any | executed | executed: a whole 2xx is proof |
 * | none may have acted | declined, or none and no retry left | failed, not remembered |
 * | none may have acted | incapable | failed, remembered where the tool is not idempotent |
 * | none may have acted | crashed, tool not idempotent | failed and remembered: the tool itself says that it ended (contract, section 11) |
 * | none may have acted | none, retries left | retry |
 * | one may have acted | anything without proof, tool not idempotent | in doubt |
 * | one may have acted | none, unknown or crashed, tool idempotent, retries left | retry |
 * | one may have acted | anything else without proof | in doubt |
 *
 * So money is released, and a key freed, only where nothing can have happened; the one exception is what a tool said itself.
 */
export function conclude(attempts: readonly AttemptEffect[], { idempotent, maxRetries }: RetryRules): Conclusion {
  const last = attempts.at(-1);
  if (last === undefined) throw new RangeError('an action without an attempt has nothing to conclude from');
  if (attempts.includes('executed')) return { kind: 'executed' };
  const acted = attempts.some(mayHaveActed);
  const isLeft = attempts.length <= maxRetries;
  if (!idempotent) {
    const saidSo = last === 'crashed' && !attempts.slice(0, -1).some(mayHaveActed);
    if (acted && !saidSo) return { kind: 'in_doubt' };
    if (last === 'none' && isLeft) return { kind: 'retry' };
    return { kind: 'failed', remember: last === 'crashed' || last === 'incapable' };
  }
  const isRepeatable = last === 'none' || last === 'unknown' || last === 'crashed' || last === 'open';
  if (isRepeatable && isLeft) return { kind: 'retry' };
  return acted ? { kind: 'in_doubt' } : { kind: 'failed', remember: false };
}
