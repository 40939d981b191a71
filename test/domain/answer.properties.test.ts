import fc from 'fast-check';
import { describe, test } from 'vitest';
import { type Answer, judgeAnswer, type RetryRules } from '../../src/domain/answer.ts';

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
const anyTool = fc.record({ idempotent: fc.boolean(), maxRetries: fc.nat(10) });
const anyAttempt = fc.integer({ min: 1, max: 12 });

/** Written apart from the code under test: answers after which the effect cannot have happened. */
function surelyNothingHappened(answer: Answer): boolean {
  if (answer.kind === 'not_sent') return true;
  if (answer.kind !== 'response' && answer.kind !== 'broken_body') return false;
  return answer.httpStatus === 429 || (answer.httpStatus === 503 && answer.retryAfterSeconds !== undefined);
}

function holds(property: (answer: Answer, tool: RetryRules, attempt: number) => boolean): void {
  fc.assert(fc.property(anyAnswer, anyTool, anyAttempt, property), { numRuns: 2_000 });
}

describe('whatever the answer', () => {
  test('a tool not marked idempotent is called again only if nothing can have happened', () =>
    holds((answer, tool, attempt) => {
      const retried = judgeAnswer(answer, { ...tool, idempotent: false }, attempt).kind === 'retry';
      return !retried || surelyNothingHappened(answer);
    }));

  test('no tool is called more often than max_retries allows', () =>
    holds((...args) => judgeAnswer(...args).kind !== 'retry' || args[2] <= args[1].maxRetries));

  test('only a whole 2xx is executed', () =>
    holds((...args) => {
      const [answer] = args;
      const success = answer.kind === 'response' && answer.httpStatus >= 200 && answer.httpStatus <= 299;
      return (judgeAnswer(...args).kind === 'executed') === success;
    }));

  test('an idempotent tool leaves no doubt and no failure that is remembered', () =>
    holds((answer, tool, attempt) => {
      const outcome = judgeAnswer(answer, { ...tool, idempotent: true }, attempt);
      return outcome.kind !== 'in_doubt' && !(outcome.kind === 'failed' && outcome.remember);
    }));

  test('an unknown outcome is in doubt from the first attempt to the last', () =>
    holds((answer, tool, attempt) => {
      const plainTool = { ...tool, idempotent: false };
      return (
        (judgeAnswer(answer, plainTool, attempt).kind === 'in_doubt') ===
        (judgeAnswer(answer, plainTool, 1).kind === 'in_doubt')
      );
    }));
});
