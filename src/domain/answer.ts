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

/** What one attempt says about the effect of the call. */
export type Effect =
  | 'executed' // a whole 2xx: it has happened
  | 'none' // nothing happened: any tool may be called again
  | 'declined' // the tool understood and said no: calling again changes nothing
  | 'unknown' // it may have happened: only an idempotent tool may be called again
  | 'crashed' // the tool failed half way: an idempotent tool may be called again, for any other it is the end
  | 'incapable'; // the tool cannot do this at all: the end

/**
 * What one attempt has seen. `afterSeconds` is what the tool asked for, uncapped; give it to {@link retryDelayMs}.
 * What it means for the action depends on the attempts before it: `conclude` in `attempts.ts`.
 */
export type Sight = { readonly effect: 'executed'; readonly httpStatus: number; readonly result: JsonObject } | Failure;

export interface Failure {
  readonly effect: Exclude<Effect, 'executed'>;
  readonly error: string;
  readonly httpStatus: number | null;
  readonly afterSeconds: number | null;
  readonly detail: JsonObject | null;
}

/** Reads one answer (contract 11 and 14). */
export function sightOf(answer: Answer): Sight {
  switch (answer.kind) {
    case 'response':
      if (isSuccess(answer.httpStatus))
        return { effect: 'executed', httpStatus: answer.httpStatus, result: answer.body };
      return statusFailure(answer, answer.body);
    case 'broken_body':
      if (!isSuccess(answer.httpStatus)) return statusFailure(answer, null);
      return { ...failed('unknown', 'broken_body'), httpStatus: answer.httpStatus };
    case 'not_sent':
      return failed('none', answer.error);
    case 'target_refused':
      return { ...failed('declined', 'target_refused'), detail: { reason: answer.error } };
    case 'lost':
      return failed('unknown', answer.error === 'reset' ? 'connection_reset' : answer.error);
  }
}

const failed = (effect: Failure['effect'], error: string): Failure => ({
  effect,
  error,
  httpStatus: null,
  afterSeconds: null,
  detail: null,
});

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

function statusFailure(
  { httpStatus, retryAfterSeconds: after }: { httpStatus: number; retryAfterSeconds?: number },
  detail: JsonObject | null,
): Failure {
  const effect = effectOf(httpStatus, after !== undefined);
  return { effect, error: `http_${httpStatus}`, httpStatus, afterSeconds: after ?? null, detail };
}

function effectOf(status: number, saysWhenToRetry: boolean): Failure['effect'] {
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
