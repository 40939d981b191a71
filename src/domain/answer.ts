/** A JSON object as it travels: values are whatever JSON allows. */
export type JsonObject = { [key: string]: unknown };

/**
 * What one attempt to call a tool saw on the wire.
 * `not_sent` is a promise that no byte of the request left this process; `lost` admits that some may have.
 */
export type Answer =
  | { kind: 'response'; httpStatus: number; retryAfterSeconds?: number; body: JsonObject }
  | { kind: 'broken_body'; httpStatus: number; retryAfterSeconds?: number }
  | { kind: 'not_sent'; error: string }
  | { kind: 'target_refused'; error: string }
  | { kind: 'lost'; error: 'timeout' | 'reset' };

/**
 * What an attempt means for the action. `remember`: a repeat of the same key replays this failure instead of calling
 * again. `afterSeconds`: what the tool asked for, uncapped; give it to {@link retryDelayMs}. `mayHaveActed`: the effect may
 * have happened, so an action that is given up after this attempt is in doubt.
 */
export type Outcome =
  | { kind: 'executed'; httpStatus: number; result: JsonObject }
  | { kind: 'failed'; error: string; httpStatus: number | null; detail: JsonObject | null; remember: boolean }
  | { kind: 'retry'; error: string; httpStatus: number | null; afterSeconds: number | null; mayHaveActed: boolean }
  | { kind: 'in_doubt'; error: string; httpStatus: number | null };

/** The part of a registered tool that decides about repeats. `maxRetries` counts sends after the first, 0–10. */
export type RetryRules = { idempotent: boolean; maxRetries: number };

/** What a failure says about the effect of the call. */
type Effect =
  | 'none' // nothing happened: any tool may be called again
  | 'unknown' // it may have happened: only an idempotent tool may be called again
  | 'declined' // the tool understood and said no: calling again changes nothing
  | 'crashed' // the tool failed half way: an idempotent tool may be called again, for any other it is the end
  | 'incapable'; // the tool cannot do this at all: the end

type Failure = { effect: Effect; error: string; httpStatus: number | null; after?: number; detail?: JsonObject };

/**
 * Judges one attempt (contract 11 and 14). `attempt` counts from 1; it may be followed by another while it is at most
 * `tool.maxRetries`. A tool not marked idempotent never gets `retry` once its effect may have happened.
 */
export function judgeAnswer(answer: Answer, tool: RetryRules, attempt: number): Outcome {
  switch (answer.kind) {
    case 'response':
      if (isSuccess(answer.httpStatus)) return executed(answer.httpStatus, answer.body);
      return judgeFailure(statusFailure(answer, answer.body), tool, attempt);
    case 'broken_body':
      if (!isSuccess(answer.httpStatus)) return judgeFailure(statusFailure(answer), tool, attempt);
      return judgeFailure({ effect: 'unknown', error: 'broken_body', httpStatus: answer.httpStatus }, tool, attempt);
    case 'not_sent':
      return judgeFailure({ effect: 'none', error: answer.error, httpStatus: null }, tool, attempt);
    case 'target_refused':
      return {
        kind: 'failed',
        error: 'target_refused',
        httpStatus: null,
        detail: { reason: answer.error },
        remember: false,
      };
    case 'lost': {
      const error = answer.error === 'reset' ? 'connection_reset' : answer.error;
      return judgeFailure({ effect: 'unknown', error, httpStatus: null }, tool, attempt);
    }
  }
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 60_000;
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/**
 * Milliseconds to wait after the failed `attempt` (from 1): 500 ms doubling up to 60 s, half of it fixed and half of it
 * `random()` (0 ≤ x < 1). Equal rather than full jitter, because with few retries a near-zero wait would spend them
 * all before a restarting tool is back. What the tool asked for in Retry-After is a minimum, believed up to 1 hour.
 */
export function retryDelayMs(attempt: number, afterSeconds: number | null, random: () => number): number {
  const step = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  const backoff = Math.round(step / 2 + (step / 2) * random());
  return Math.max(backoff, Math.min(LONGEST_RETRY_AFTER_MS, (afterSeconds ?? 0) * 1000));
}

function judgeFailure(failure: Failure, tool: RetryRules, attempt: number): Outcome {
  const { effect, error, httpStatus } = failure;
  if (effect === 'unknown' && !tool.idempotent) return { kind: 'in_doubt', error, httpStatus };
  if (isRepeatable(effect, tool) && attempt <= tool.maxRetries) {
    return { kind: 'retry', error, httpStatus, afterSeconds: failure.after ?? null, mayHaveActed: effect !== 'none' };
  }
  // A tool that broke half way may have acted, so the same key must not reach it again.
  const remember = !tool.idempotent && (effect === 'crashed' || effect === 'incapable');
  return { kind: 'failed', error, httpStatus, detail: failure.detail ?? null, remember };
}

function isRepeatable(effect: Effect, tool: RetryRules): boolean {
  return effect === 'none' || (tool.idempotent && (effect === 'unknown' || effect === 'crashed'));
}

function statusFailure(answer: { httpStatus: number; retryAfterSeconds?: number }, detail?: JsonObject): Failure {
  const { httpStatus, retryAfterSeconds: after } = answer;
  const effect = effectOf(httpStatus, after !== undefined);
  return {
    effect,
    error: `http_${httpStatus}`,
    httpStatus,
    ...(after === undefined ? {} : { after }),
    ...(detail && { detail }),
  };
}

function effectOf(status: number, saysWhenToRetry: boolean): Effect {
  if (status === 429 || (status === 503 && saysWhenToRetry)) return 'none';
  if (status >= 300 && status < 500) return 'declined';
  if (status === 502 || status === 503 || status === 504 || status < 200) return 'unknown';
  // 520–599 are what proxies such as Cloudflare say when the origin's answer went missing.
  if (status >= 520 && status < 600) return 'unknown';
  // RFC 9110, section 15: a status outside 100–599 is to be read as a 5xx.
  if (status === 500 || status >= 600) return 'crashed';
  return 'incapable';
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function executed(httpStatus: number, result: JsonObject): Outcome {
  return { kind: 'executed', httpStatus, result };
}
