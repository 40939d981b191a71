import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Answer, sightOf } from '../../src/domain/answer.ts';
import { type AttemptEffect, conclude, mayHaveActed, type RetryRules } from '../../src/domain/attempts.ts';

const head = fc.record(
  { httpStatus: fc.integer({ min: 100, max: 999 }), retryAfterSeconds: fc.nat(100_000) },
  { requiredKeys: ['httpStatus'] },
);
const anyAnswer: fc.Arbitrary<Answer> = fc.oneof(
  head.map((seen) => ({ ...seen, kind: 'response', body: {} }) as const),
  head.map((seen) => ({ ...seen, kind: 'broken_body' }) as const),
  fc.constantFrom('dns', 'tls', 'connect_timeout').map((error) => ({ kind: 'not_sent', error }) as const),
  fc.constantFrom('timeout' as const, 'reset' as const).map((error) => ({ kind: 'lost', error }) as const),
  fc.constant({ kind: 'target_refused', error: 'address_not_allowed' } as const),
);
/** What an execution that is lost has left behind: a claim without an end. */
const LOST = 'lost worker';
const anyAttempt = fc.oneof({ weight: 6, arbitrary: anyAnswer }, { weight: 1, arbitrary: fc.constant(LOST) });
/** The last attempt has an answer: there is nothing to conclude from one that is still out. */
const anyHistory = fc
  .tuple(fc.array(anyAttempt, { maxLength: 11 }), anyAnswer)
  .map(([before, last]) => [...before, last]);
const anyTool = fc.record({ idempotent: fc.boolean(), maxRetries: fc.nat(10) });

type Attempt = Answer | typeof LOST;

/** Written apart from the code under test: answers that prove that nothing has happened. */
function provesNothing(attempt: Attempt): boolean {
  if (attempt === LOST) return false;
  if (attempt.kind === 'not_sent' || attempt.kind === 'target_refused') return true;
  if (attempt.kind === 'lost') return false;
  const { httpStatus, retryAfterSeconds } = attempt;
  if (httpStatus === 429 || (httpStatus === 503 && retryAfterSeconds !== undefined)) return true;
  return (httpStatus >= 300 && httpStatus < 500) || isIncapable(httpStatus);
}

const isIncapable = (status: number) => status === 501 || (status >= 505 && status < 520);
const isSuccess = (attempt: Attempt): boolean =>
  attempt !== LOST && attempt.kind === 'response' && attempt.httpStatus >= 200 && attempt.httpStatus < 300;
/** A tool that failed half way and says so: 500, or what HTTP does not know. */
const isCrash = (attempt: Attempt): boolean =>
  attempt !== LOST &&
  (attempt.kind === 'response' || attempt.kind === 'broken_body') &&
  (attempt.httpStatus === 500 || attempt.httpStatus >= 600);

const effectOf = (attempt: Attempt): AttemptEffect => (attempt === LOST ? 'open' : sightOf(attempt).effect);

function holds(property: (history: Attempt[], tool: RetryRules, kind: string, remember: boolean) => boolean): void {
  fc.assert(
    fc.property(anyHistory, anyTool, (history, tool) => {
      const conclusion = conclude(history.map(effectOf), tool);
      return property(history, tool, conclusion.kind, conclusion.kind === 'failed' && conclusion.remember);
    }),
    { numRuns: 20_000 },
  );
}

describe('over any history of attempts', () => {
  test('money is released, and a key freed, only where no attempt can have acted', () =>
    holds((history, _tool, kind, remember) => kind !== 'failed' || remember || history.every(provesNothing)));

  test('money is released under a key that stays taken only by the word of a tool that is not idempotent', () =>
    holds((history, tool, kind, remember) => {
      if (kind !== 'failed' || !remember) return true;
      const last = history.at(-1) as Answer;
      return !tool.idempotent && history.slice(0, -1).every(provesNothing) && (isCrash(last) || provesNothing(last));
    }));

  test('it is executed exactly where a whole 2xx is among the answers', () =>
    holds((history, _tool, kind) => (kind === 'executed') === history.some(isSuccess)));

  test('a tool not marked idempotent is sent again only if nothing can have happened', () =>
    holds((history, tool, kind) => tool.idempotent || kind !== 'retry' || history.every(provesNothing)));

  test('no tool is called more often than max_retries allows', () =>
    holds((history, { maxRetries }, kind) => kind !== 'retry' || history.length <= maxRetries));

  test('a doubt stands only where something may have happened', () =>
    holds((history, _tool, kind) => kind !== 'in_doubt' || !history.every(provesNothing)));

  test('an idempotent tool has no failure that is remembered', () =>
    holds((_history, { idempotent }, _kind, remember) => !idempotent || !remember));
});

test('whether an attempt may have acted does not depend on the tool', () => {
  const effects = ['none', 'declined', 'incapable', 'unknown', 'crashed', 'open', 'executed'] as const;
  expect(effects.filter(mayHaveActed)).toEqual(['unknown', 'crashed', 'open', 'executed']);
});

test('there is nothing to conclude without an attempt', () => {
  expect(() => conclude([], { idempotent: true, maxRetries: 2 })).toThrow(RangeError);
});
