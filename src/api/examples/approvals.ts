import type { Approval } from '../../contracts/approval.ts';
import { type OperationExamples, single } from './example.ts';
import { action_id, agent_id, args, args_hash, asked_at, tool } from './story.ts';

const approval_id = action_id.replace('act_', 'apr_');

const waiting = {
  id: approval_id,
  action_id,
  agent_id,
  tool,
  args,
  digest: args_hash,
  status: 'pending',
  requested_at: asked_at,
  expires_at: '2026-11-25T09:30:00.000Z',
  decided_by: null,
  reason: null,
} satisfies Approval;
const decided = { ...waiting, decided_by: 'ada@example.com', reason: 'checked with the customer' };

export const approvals: OperationExamples = {
  'get /v1/approvals': {
    id: 'listApprovals',
    description: 'A policy names the tools whose calls wait (`require_approval`). At most 1,000.',
    parameters: { status: 'pending' },
    answers: { 200: single('One call waits', [waiting]) },
  },
  'post /v1/approvals/:approval_id/approve': {
    id: 'approveCall',
    description: 'The call is put to the policy once more and then made: a budget used up meanwhile still blocks it.',
    parameters: { approval_id },
    body: single('By a person that the key speaks for', { reason: decided.reason, actor: decided.decided_by }),
    answers: { 200: single('Approved', { ...decided, status: 'approved' } satisfies Approval) },
  },
  'post /v1/approvals/:approval_id/deny': {
    id: 'denyCall',
    description: 'The call is never made; its caller reads `blocked` with `approval_denied`.',
    parameters: { approval_id },
    body: single('With a reason', { reason: 'this invoice is disputed', actor: decided.decided_by }),
    answers: {
      200: single('Denied', { ...decided, status: 'denied', reason: 'this invoice is disputed' } satisfies Approval),
    },
  },
};
