import type { PolicyReason, Resolution } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import type { Outcome } from './answer.ts';

/** How an action ends, or that its end is not known. */
export interface Ending {
  readonly status: 'executed' | 'failed' | 'blocked' | 'in_doubt';
  readonly policyReason: PolicyReason;
  readonly result: JsonObject | null;
  readonly error: string | null;
  /** Seconds for which a repeat gets this outcome; 0: a repeat is a new action. */
  readonly rememberSeconds: number;
  /** Who settled it, where it was not the caller's own workflow. */
  readonly actor?: string;
  /** The attempt that led to this, where one was made. */
  readonly attempt?: AttemptEnd;
}

export interface AttemptEnd {
  readonly n: number;
  readonly outcome: Outcome['kind'];
  readonly httpStatus: number | null;
  readonly error: string | null;
  readonly durationMs: number;
}

/** What an attempt's outcome makes of its action; `windowSeconds` is how long a repeat is recognised. */
export function endingOf(
  outcome: Exclude<Outcome, { kind: 'retry' }>,
  attempt: AttemptEnd,
  windowSeconds: number,
): Ending {
  switch (outcome.kind) {
    case 'executed':
      return {
        status: 'executed',
        policyReason: 'ok',
        result: outcome.result,
        error: null,
        rememberSeconds: windowSeconds,
        attempt,
      };
    case 'in_doubt':
      return { ...doubt(outcome.error), attempt };
    case 'failed': {
      const { error, httpStatus, detail } = outcome;
      const rememberSeconds = outcome.remember ? windowSeconds : 0;
      return {
        status: 'failed',
        policyReason: 'tool_error',
        result: { error, http_status: httpStatus, detail },
        error,
        rememberSeconds,
        attempt,
      };
    }
  }
}

/** Nobody can say whether the tool has acted: the money stays held and the key stays taken until someone can. */
export const doubt = (error: string): Ending => ({
  status: 'in_doubt',
  policyReason: 'in_doubt',
  result: null,
  error,
  rememberSeconds: 0,
});

/** Stopped before anything left. */
export const stopped: Ending = {
  status: 'blocked',
  policyReason: 'agent_disabled',
  result: null,
  error: null,
  rememberSeconds: 0,
};

/** Failed without an answer of the tool; a repeat is a new action. */
export const failure = (error: string): Ending => ({
  status: 'failed',
  policyReason: 'tool_error',
  result: { error, http_status: null, detail: null },
  error,
  rememberSeconds: 0,
});

/** The word of an operator or of the tool's `status_url` on an action in doubt. After `not_executed` the key is free. */
export function resolved(resolution: Resolution, windowSeconds: number): Ending {
  const { actor, result = {} } = resolution;
  if (resolution.outcome === 'not_executed') return { ...failure('not_executed'), actor };
  return { status: 'executed', policyReason: 'ok', result, error: null, rememberSeconds: windowSeconds, actor };
}
