import type { Approval } from '../../contracts/approval.ts';
import { type OperationExamples, single } from './example.ts';
import { action_id, agent_id, args, args_hash, asked_at, cursorAfter, tool } from './story.ts';

const approval_id = action_id.replace('act_', 'apr_');

const waiting = {
  id: approval_id,
  action_id,
  agent_id,
  tool,
  tool_version: 1,
  target: 'https://billing.example.com/charge',
  spend_usd: 49.99,
  policy_version: 1,
  rule: 'require_approval',
  args,
  digest: args_hash,
  status: 'pending',
  requested_at: asked_at,
  expires_at: '2026-11-25T09:30:00.000Z',
  decided_by: null,
  claimed_actor: null,
  reason: null,
} satisfies Approval;
const decided = {
  ...waiting,
  decided_by: 'key_0199a1b2',
  claimed_actor: 'ada@example.com',
  reason: 'checked with the customer',
};

export const approvals: OperationExamples = {
  'get /v1/approvals': {
    id: 'listApprovals',
    description:
      'A policy names the tools whose calls wait (`require_approval`). `X-Next-Cursor` says where the next page begins.',
    parameters: { status: 'pending', agent_id, tool, limit: 50, cursor: cursorAfter(approval_id) },
    answers: { 200: single('One call waits', [waiting]) },
  },
  'get /v1/approvals/:approval_id': {
    id: 'getApproval',
    description: 'What would be done, where, and for how much: an approval is bound to exactly that.',
    parameters: { approval_id },
    answers: { 200: single('It waits', waiting) },
  },
  'post /v1/approvals/:approval_id/approve': {
    id: 'approveCall',
    description: 'The call is put to the policy once more and then made: a budget used up meanwhile still blocks it.',
    parameters: { approval_id },
    body: single('By a person that the key speaks for', { reason: decided.reason, actor: decided.claimed_actor }),
    answers: { 200: single('Approved', { ...decided, status: 'approved' } satisfies Approval) },
  },
  'post /v1/approvals/:approval_id/deny': {
    id: 'denyCall',
    description: 'The call is never made; its caller reads `blocked` with `approval_denied`.',
    parameters: { approval_id },
    body: single('With a reason', { reason: 'this invoice is disputed', actor: decided.claimed_actor }),
    answers: {
      200: single('Denied', { ...decided, status: 'denied', reason: 'this invoice is disputed' } satisfies Approval),
    },
  },
};
