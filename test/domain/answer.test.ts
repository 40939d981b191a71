import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Answer, retryDelayMs, sightOf } from '../../src/domain/answer.ts';
import { conclude, type RetryRules } from '../../src/domain/attempts.ts';

const plain: RetryRules = { idempotent: false, maxRetries: 2 };
const idempotent: RetryRules = { idempotent: true, maxRetries: 2 };

const status = (httpStatus: number, retryAfterSeconds?: number): Answer => ({
  kind: 'response',
  httpStatus,
  body: { said: httpStatus },
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});
const broken = (httpStatus: number, retryAfterSeconds?: number): Answer => ({
  kind: 'broken_body',
  httpStatus,
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});
const notSent = (error: string): Answer => ({ kind: 'not_sent', error });
const lost = (error: 'timeout' | 'reset'): Answer => ({ kind: 'lost', error });

/** `forgotten` and `remembered` are failures. */
type Row = [name: string, answer: Answer, onPlain: string, onIdempotent: string, error: string];
const RETRIED = 'retry, then retry, then forgotten';
/** The tool may have acted: nothing but proof ends that. */
const ASKED = 'retry, then retry, then in_doubt';

const table: Row[] = [
  ['200', status(200), 'executed', 'executed', ''],
  ['204', status(204), 'executed', 'executed', ''],
  ['299', status(299), 'executed', 'executed', ''],
  ['a redirect', status(302), 'forgotten', 'forgotten', 'http_302'],
  ['304', status(304), 'forgotten', 'forgotten', 'http_304'],
  ['400', status(400), 'forgotten', 'forgotten', 'http_400'],
  ['404', status(404), 'forgotten', 'forgotten', 'http_404'],
  ['408', status(408), 'forgotten', 'forgotten', 'http_408'],
  ['409 that says when to retry', status(409, 1), 'forgotten', 'forgotten', 'http_409'],
  ['429', status(429), RETRIED, RETRIED, 'http_429'],
  ['429 that says when to retry', status(429, 9), RETRIED, RETRIED, 'http_429'],
  ['500', status(500), 'remembered', ASKED, 'http_500'],
  ['501', status(501), 'remembered', 'forgotten', 'http_501'],
  ['502', status(502), 'in_doubt', ASKED, 'http_502'],
  ['503', status(503), 'in_doubt', ASKED, 'http_503'],
  ['503 that says when to retry', status(503, 0), RETRIED, RETRIED, 'http_503'],
  ['504', status(504), 'in_doubt', ASKED, 'http_504'],
  ['505', status(505), 'remembered', 'forgotten', 'http_505'],
  ['519', status(519), 'remembered', 'forgotten', 'http_519'],
  ['520', status(520), 'in_doubt', ASKED, 'http_520'],
  ['599', status(599), 'in_doubt', ASKED, 'http_599'],
  ['a status beyond HTTP', status(999), 'remembered', ASKED, 'http_999'],
  ['DNS', notSent('dns'), RETRIED, RETRIED, 'dns'],
  ['a refused connection', notSent('connection_refused'), RETRIED, RETRIED, 'connection_refused'],
  ['TLS', notSent('tls'), RETRIED, RETRIED, 'tls'],
  ['a forbidden target', { kind: 'target_refused', error: 'why' }, 'forgotten', 'forgotten', 'target_refused'],
  ['a timeout after sending', lost('timeout'), 'in_doubt', ASKED, 'timeout'],
  ['a reset after sending', lost('reset'), 'in_doubt', ASKED, 'connection_reset'],
  ['200 with half a body', broken(200), 'in_doubt', ASKED, 'broken_body'],
  ['404 with half a body', broken(404), 'forgotten', 'forgotten', 'http_404'],
  ['500 with half a body', broken(500), 'remembered', ASKED, 'http_500'],
  ['503 with half a body that says when to retry', broken(503, 4), RETRIED, RETRIED, 'http_503'],
];

/** What comes of a tool that always answers so. */
function story(answer: Answer, tool: RetryRules): string {
  const { effect } = sightOf(answer);
  const told: string[] = [];
  for (let n = 1; n <= 4; n += 1) {
    const conclusion = conclude(Array(n).fill(effect), tool);
    told.push(conclusion.kind === 'failed' ? (conclusion.remember ? 'remembered' : 'forgotten') : conclusion.kind);
    if (conclusion.kind !== 'retry') break;
  }
  return told.join(', then ');
}

describe.each(table)('%s', (_, answer, onPlain, onIdempotent, error) => {
  test(`is ${onPlain} for a tool not marked idempotent`, () => expect(story(answer, plain)).toBe(onPlain));
  test(`is ${onIdempotent} for an idempotent tool`, () => expect(story(answer, idempotent)).toBe(onIdempotent));
  test(`is told as "${error}"`, () => {
    const sight = sightOf(answer);
    expect('error' in sight ? sight.error : '').toBe(error);
  });
});

test('a success carries its result, a failure what the tool said', () => {
  expect(sightOf(status(201))).toEqual({ effect: 'executed', httpStatus: 201, result: { said: 201 } });
  expect(sightOf(status(404))).toMatchObject({ httpStatus: 404, detail: { said: 404 } });
  expect(sightOf({ kind: 'target_refused', error: 'why' })).toMatchObject({ detail: { reason: 'why' } });
});

test('what the tool said about when to retry is passed on', () => {
  expect(sightOf(status(429, 7))).toMatchObject({ effect: 'none', afterSeconds: 7 });
  expect(sightOf(status(503, 0))).toMatchObject({ effect: 'none', afterSeconds: 0 });
  expect(sightOf(notSent('dns'))).toMatchObject({ effect: 'none', afterSeconds: null });
});

describe('the delay before a retry', () => {
  test('doubles from half a second to a minute, half of it random', () => {
    const bounds = [1, 2, 3, 7, 8, 50].map((n) => [retryDelayMs(n, null, () => 0), retryDelayMs(n, null, () => 1)]);
    expect(bounds).toEqual([
      [250, 500],
      [500, 1_000],
      [1_000, 2_000],
      [16_000, 32_000],
      [30_000, 60_000],
      [30_000, 60_000],
    ]);
  });

  test('is at least what the tool asked for, up to an hour', () => {
    expect(retryDelayMs(1, 7, () => 0.5)).toBe(7_000);
    expect(retryDelayMs(9, 7, () => 0.5)).toBe(45_000);
    expect(retryDelayMs(1, 86_400, () => 0.5)).toBe(3_600_000);
  });

  test('is a whole number of milliseconds within bounds', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.option(fc.nat()), random, (attempt, seconds, x) => {
        const delay = retryDelayMs(attempt, seconds, () => x);
        return Number.isInteger(delay) && delay >= 250 && delay <= 3_600_000;
      }),
    );
  });
});
