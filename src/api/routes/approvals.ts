import { z } from 'zod';
import { Approval, ApprovalRequest, ApprovalStatus } from '../../contracts/approval.ts';
import { text } from '../../contracts/common.ts';
import { route } from '../route.ts';

const tag = 'approvals';
const ById = z.object({ approval_id: text(128) });
const refusals = ['approval_not_found', 'approval_decided'] as const;

const list = route({
  method: 'get',
  path: '/v1/approvals',
  summary: 'Calls that wait for a person, or that one has decided on, the latest first',
  tag,
  query: z.object({ status: ApprovalStatus.optional() }),
  answer: z.array(Approval),
  handle: ({ tenant, query }, { approvals }) => approvals.list(tenant, query.status),
});

const approve = route({
  method: 'post',
  path: '/v1/approvals/:approval_id/approve',
  summary: 'Let a waiting call be made, if its policy still allows it',
  tag,
  // A key that agents use may not approve its own calls.
  scope: 'admin',
  params: ById,
  body: ApprovalRequest.optional(),
  answer: Approval,
  refusals,
  handle: ({ tenant, actor, params, body }, { approvals }) =>
    approvals.decide(tenant, params.approval_id, 'approved', { ...body, ...named(body?.actor, actor) }),
});

const deny = route({
  method: 'post',
  path: '/v1/approvals/:approval_id/deny',
  summary: 'Refuse a waiting call',
  tag,
  scope: 'admin',
  params: ById,
  body: ApprovalRequest.optional(),
  answer: Approval,
  refusals,
  handle: ({ tenant, actor, params, body }, { approvals }) =>
    approvals.decide(tenant, params.approval_id, 'denied', { ...body, ...named(body?.actor, actor) }),
});

/** Who decides: the person that the operator's tool names, else the key. */
const named = (person: string | undefined, key: string) => ({ actor: person ?? key });

export const approvals = [list, approve, deny];
