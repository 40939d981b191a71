import { type Check, type Exchange, isOk, type Op, type Violation } from '../history.ts';

/** Refusals that are an honest answer to an honest client. */
const expected: Readonly<Partial<Record<Op, readonly string[]>>> = {
  extend: ['lease_not_active', 'lease_mismatch'],
  complete: ['lease_not_active', 'lease_mismatch'],
  fail: ['lease_not_active', 'lease_mismatch'],
  cancel: ['lease_not_active', 'lease_mismatch'],
  status: ['lease_not_found'],
  // Of one that is pending only its acceptance is sure; whether it is there at the end is looked at then.
  action: ['action_not_found'],
  approve: ['approval_decided'],
  deny: ['approval_decided'],
  resolve: ['action_not_in_doubt'],
};

const isFair = (exchange: Exchange): boolean => {
  const { status, error = '', retryAfter } = exchange;
  if (status === undefined || isOk(exchange)) return true;
  if (status === 503) return /^\d+$/.test(retryAfter ?? '') && /^(unavailable|outcome_unknown)$/.test(error);
  return expected[exchange.op]?.includes(error) ?? false;
};

/** A fault is told as a 503 with its kind and its Retry-After, and never as an error of the caller or of the program. */
export const answersAreFair: Check = ({ exchanges }) =>
  exchanges
    .filter((exchange) => !isFair(exchange))
    .map(
      ({ op, subject, status, error, retryAfter }): Violation => ({
        invariant: 'a fault is told as one',
        subject: `${op} ${subject}`,
        what: [status, error, retryAfter].filter((part) => part !== undefined).join(' '),
      }),
    );
