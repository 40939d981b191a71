import type { PolicyReason, Resolution } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import type { Sight } from './answer.ts';
import type { Conclusion } from './attempts.ts';

/** How an action ends, or that its end is not known. */
export interface Ending {
  readonly status: 'executed' | 'failed' | 'blocked' | 'in_doubt';
  readonly policyReason: PolicyReason;
  readonly result: JsonObject | null;
  readonly error: string | null;
  /** Seconds for which a repeat gets this outcome; 0: a repeat is a new action. */
  readonly rememberSeconds: number;
  /** Who settled it, where it was not the caller's own workflow, and why where they said. */
  readonly actor?: string;
  /** Whom they named. */
  readonly claimedActor?: string;
  readonly reason?: string;
  /** The attempt that led to this, where one was made. */
  readonly attempt?: AttemptEnd;
}

export interface AttemptEnd {
  readonly n: number;
  readonly outcome: Conclusion['kind'];
  /** Whether the tool may have acted on it. */
  readonly mayHaveActed: boolean;
  readonly httpStatus: number | null;
  readonly error: string | null;
  readonly durationMs: number;
}

/** What the attempts have led to, as the last of them was seen; `windowSeconds` is how long a repeat is recognised. */
export function endingOf(conclusion: Conclusion, sight: Sight, attempt: AttemptEnd, windowSeconds: number): Ending {
  if (sight.effect === 'executed') return { ...done(sight.result, windowSeconds), attempt };
  const { error, httpStatus, detail } = sight;
  if (conclusion.kind !== 'failed') return { ...doubt(error), attempt };
  return {
    status: 'failed',
    policyReason: 'tool_error',
    result: { error, http_status: httpStatus, detail },
    error,
    rememberSeconds: conclusion.remember ? windowSeconds : 0,
    attempt,
  };
}

const done = (result: JsonObject, rememberSeconds: number): Ending => ({
  status: 'executed',
  policyReason: 'ok',
  result,
  error: null,
  rememberSeconds,
});

/** Nobody can say whether the tool has acted: the money stays held and the key stays taken until someone can. */
export const doubt = (error: string): Ending => ({
  status: 'in_doubt',
  policyReason: 'in_doubt',
  result: null,
  error,
  rememberSeconds: 0,
});

/** Refused by a rule before anything left. */
export const refusedFor = (policyReason: PolicyReason, error: string | null = null): Ending => ({
  status: 'blocked',
  policyReason,
  result: null,
  error,
  rememberSeconds: 0,
});

/** Failed without an answer of the tool; a repeat is a new action. */
export const failure = (error: string): Ending => ({
  status: 'failed',
  policyReason: 'tool_error',
  result: { error, http_status: null, detail: null },
  error,
  rememberSeconds: 0,
});

/** The word of an operator or of the tool's `status_url` on an action in doubt. After `not_executed` the key is free. */
export function resolved(
  { actor, claimedActor, result = {}, reason, outcome }: Resolution & Pick<Ending, 'claimedActor'>,
  windowSeconds: number,
): Ending {
  const ending = outcome === 'not_executed' ? failure('not_executed') : done(result, windowSeconds);
  const why = { ...(claimedActor !== undefined && { claimedActor }), ...(reason !== undefined && { reason }) };
  return { ...ending, actor, ...why };
}
