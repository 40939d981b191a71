import type { Ending } from './settlement.ts';

/** The id of the `n`-th asking for an action: one that is asked for anew is another approval. */
export const approvalOfAction = (actionId: string, n = 1): string =>
  `apr_${actionId.replace(/^act_/, '')}${n === 1 ? '' : `_${n}`}`;

/** A person said no, or nobody said anything in time: the call is not made, a repeat is a new one. */
export const denied = (actor: string | null, error: string): Ending => ({
  status: 'blocked',
  policyReason: 'approval_denied',
  result: null,
  error,
  rememberSeconds: 0,
  ...(actor !== null && { actor }),
});
