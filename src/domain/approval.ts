import type { Ending } from './settlement.ts';

/** How long a call waits for a person before it counts as denied. */
export const APPROVAL_SECONDS = 86_400;

export const approvalOfAction = (actionId: string): string => `apr_${actionId.replace(/^act_/, '')}`;
export const actionOfApproval = (approvalId: string): string => `act_${approvalId.replace(/^apr_/, '')}`;

/** A person said no, or nobody said anything in time: the call is not made, a repeat is a new one. */
export const denied = (actor: string | null, error: string): Ending => ({
  status: 'blocked',
  policyReason: 'approval_denied',
  result: null,
  error,
  rememberSeconds: 0,
  ...(actor !== null && { actor }),
});
