import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Abandon,
  canceled,
  impossible,
  leftByRun,
  orphaned,
  type PastAttempt,
  refusedAtClaim,
  switchedOff,
} from '../../src/domain/abandonment.ts';
import { sightOf } from '../../src/domain/answer.ts';
import { mayHaveActed } from '../../src/domain/attempts.ts';

const harmless: PastAttempt = { ended: true, mayHaveActed: false, error: 'http_429' };
const timeout: PastAttempt = { ended: true, mayHaveActed: true, error: 'timeout' };
const open: PastAttempt = { ended: false, mayHaveActed: false, error: null };

describe.each<[string, Abandon, 'killed' | 'agent_disabled' | undefined, string, string]>([
  ['stopped by the switch', switchedOff, 'agent_disabled', 'blocked', 'agent_disabled'],
  ['killed with its tenant', switchedOff, 'killed', 'blocked', 'killed'],
  ['stopped at its next attempt', refusedAtClaim('agent_disabled'), 'agent_disabled', 'blocked', 'agent_disabled'],
  ['whose tool is off at its next attempt', refusedAtClaim('tool_disabled'), undefined, 'blocked', 'tool_disabled'],
  ['canceled by an operator', canceled, undefined, 'failed', 'tool_error'],
  ['canceled after the switch', canceled, 'agent_disabled', 'blocked', 'agent_disabled'],
  ['whose tool is deleted', impossible('tool_deleted'), undefined, 'failed', 'tool_error'],
  ['whose workflow is gone', orphaned, undefined, 'failed', 'tool_error'],
])('an action %s', (_name, decide, stoppedBy, status, policyReason) => {
  test.each([[[]], [[harmless]], [[harmless, harmless]]])('is over where nothing can have happened: %j', (attempts) => {
    expect(decide({ stoppedBy, runIsOver: false, attempts })).toMatchObject({
      status,
      policyReason,
      rememberSeconds: 0,
    });
  });

  test.each([[[timeout]], [[timeout, harmless]], [[harmless, timeout]]])(
    'is in doubt where the tool may have acted: %j',
    (attempts) => {
      expect(decide({ stoppedBy, runIsOver: false, attempts })).toMatchObject({
        status: 'in_doubt',
        error: 'timeout',
      });
    },
  );
});

test('an attempt under way is left to its own end by the switch, and is in doubt for who gives it up', () => {
  expect(switchedOff({ stoppedBy: 'agent_disabled', runIsOver: false, attempts: [harmless, open] })).toBeUndefined();
  expect(canceled({ stoppedBy: 'agent_disabled', runIsOver: false, attempts: [harmless, open] })).toMatchObject({
    status: 'in_doubt',
  });
  expect(orphaned({ stoppedBy: undefined, runIsOver: false, attempts: [open] })).toMatchObject({
    error: 'workflow_gone',
  });
});

test('what a run has left waiting ends with the run, and an attempt under way by itself', () => {
  const over = { stoppedBy: undefined, runIsOver: true };
  expect(leftByRun({ ...over, runIsOver: false, attempts: [] })).toBeUndefined();
  expect(leftByRun({ ...over, attempts: [open] })).toBeUndefined();
  expect(leftByRun({ ...over, attempts: [harmless] })).toMatchObject({ status: 'failed', error: 'run_over' });
  expect(leftByRun({ ...over, attempts: [timeout] })).toMatchObject({ status: 'in_doubt' });
});

test('an agent that is enabled again is not stopped', () => {
  expect(switchedOff({ stoppedBy: undefined, runIsOver: false, attempts: [] })).toBeUndefined();
});

test('only a retry after an answer that proves that nothing happened leaves no doubt', () => {
  const harmlessAnswer = fc.oneof(
    fc.constant({ kind: 'not_sent' as const, error: 'dns' }),
    fc.constant({ kind: 'response' as const, httpStatus: 429, body: {} }),
    fc.constant({ kind: 'response' as const, httpStatus: 503, retryAfterSeconds: 1, body: {} }),
  );
  const doubtfulAnswer = fc.oneof(
    fc.constantFrom('timeout' as const, 'reset' as const).map((error) => ({ kind: 'lost' as const, error })),
    fc.constantFrom(200, 500).map((httpStatus) => ({ kind: 'broken_body' as const, httpStatus })),
    fc.constantFrom(500, 502, 503, 504).map((httpStatus) => ({ kind: 'response' as const, httpStatus, body: {} })),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(harmlessAnswer, doubtfulAnswer), { maxLength: 6 }), (answers) => {
      const attempts = answers.map((answer) => {
        const sight = sightOf(answer);
        if (sight.effect === 'executed') throw new Error('none of these is an execution');
        return { ended: true, mayHaveActed: mayHaveActed(sight.effect), error: sight.error };
      });
      const proven = answers.every(
        (answer) =>
          answer.kind === 'not_sent' ||
          (answer.kind === 'response' && (answer.httpStatus === 429 || 'retryAfterSeconds' in answer)),
      );
      expect(switchedOff({ stoppedBy: 'agent_disabled', runIsOver: false, attempts })?.status).toBe(
        proven ? 'blocked' : 'in_doubt',
      );
    }),
  );
});
