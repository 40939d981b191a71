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

const decision = (name: 'approve' | 'deny', status: 'approved' | 'denied', summary: string) =>
  route({
    method: 'post',
    path: `/v1/approvals/:approval_id/${name}`,
    summary,
    tag,
    // A key that agents use may not approve its own calls.
    scope: 'admin',
    params: ById,
    body: ApprovalRequest.optional(),
    answer: Approval,
    refusals,
    handle: ({ tenant, actor, params, body }, { approvals }) =>
      // Who decides: the person that the operator's tool names, else the key.
      approvals.decide(tenant, params.approval_id, status, { ...body, actor: body?.actor ?? actor }),
  });

const approve = decision('approve', 'approved', 'Let a waiting call be made, if its policy still allows it');
const deny = decision('deny', 'denied', 'Refuse a waiting call');

export const approvals = [list, approve, deny];
