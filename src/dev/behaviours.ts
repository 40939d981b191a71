import type { Behaviour, Reply } from './receiver.ts';

/** Does the work: answers 200 with the arguments and the id of a new charge, one more for every time it is done. */
export function ok(): Behaviour {
  let charges = 0;
  return (call) => {
    charges += 1;
    return { body: { charge_id: `ch_${String(charges).padStart(6, '0')}`, args: call.body.args ?? {} } };
  };
}

/** Answers the first `times` calls with `status` and without effect, the others as `then` (default {@link ok}) does. */
export function fail(status: number, times = Number.POSITIVE_INFINITY, then: Behaviour = ok()): Behaviour {
  return (call, n) => (n <= times ? { status, body: { error: `status ${status}` } } : then(call, n - times));
}

/** Does the work, and answers `delayMs` later. */
export function slow(delayMs: number, then: Behaviour = ok()): Behaviour {
  return async (call, n): Promise<Reply> => ({ ...(await then(call, n)), delayMs });
}

/** Does the work and never answers, until the receiver is closed. */
export function hang(): Behaviour {
  return () => ({ hangUp: 'never' });
}

/** Does the work and then drops the connection: before any answer, or in the middle of one. */
export function hangUp(when: 'before_answer' | 'mid_body'): Behaviour {
  return () => ({ hangUp: when, body: { charge_id: 'ch_unheard' } });
}
