import { z } from 'zod';
import { Approval, ApprovalRequest, ApprovalStatus } from '../../contracts/approval.ts';
import { AgentId, limit, ToolName, text } from '../../contracts/common.ts';
import { Cursor } from '../../contracts/page.ts';
import { mayActFor } from '../bound.ts';
import { Reply, route } from '../route.ts';
import { operating, watching } from '../scope.ts';

const tag = 'approvals';
const ById = z.object({ approval_id: text(128) });
const refusals = ['approval_not_found', 'approval_decided', 'approval_superseded'] as const;

const list = route({
  method: 'get',
  path: '/v1/approvals',
  summary:
    'Calls that wait for a person, the oldest first, then those that one has decided on; a page of large ones ends early',
  tag,
  needs: watching,
  bound: 'own',
  query: z.object({
    status: ApprovalStatus.optional(),
    agent_id: AgentId.optional(),
    tool: ToolName.optional(),
    limit: limit(1000, 100),
    cursor: Cursor.optional(),
  }),
  answer: z.array(Approval),
  handle: async ({ tenant, agents, query: { agent_id: agentId, cursor: position, ...query } }, { approvals }) => {
    const { items, nextCursor } = await approvals.list(tenant, { ...query, agentId, agents, position });
    return new Reply(items, { headers: nextCursor === undefined ? {} : { 'X-Next-Cursor': nextCursor } });
  },
});

const get = route({
  method: 'get',
  path: '/v1/approvals/:approval_id',
  summary: 'One call that waits for a person, or that one has decided on',
  tag,
  needs: watching,
  bound: 'own',
  params: ById,
  answer: Approval,
  refusals: ['approval_not_found'],
  handle: async ({ tenant, agents, params }, { approvals }) => {
    const approval = await approvals.get(tenant, params.approval_id);
    mayActFor(agents, approval.agent_id);
    return approval;
  },
});

const decision = (name: 'approve' | 'deny', status: 'approved' | 'denied', summary: string) =>
  route({
    method: 'post',
    path: `/v1/approvals/:approval_id/${name}`,
    summary,
    tag,
    needs: operating,
    bound: 'own',
    params: ById,
    body: ApprovalRequest.optional(),
    answer: Approval,
    refusals,
    handle: async ({ tenant, actor, agents, params, body }, { approvals }) => {
      if (agents !== null) mayActFor(agents, (await approvals.get(tenant, params.approval_id)).agent_id);
      return await approvals.decide(tenant, params.approval_id, status, {
        actor,
        // The person that the operator's tool names; who was authenticated is the key.
        claimedActor: body?.actor ?? null,
        reason: body?.reason,
      });
    },
  });

const approve = decision('approve', 'approved', 'Let a waiting call be made, if its policy still allows it');
const deny = decision('deny', 'denied', 'Refuse a waiting call');

export const approvals = [list, get, approve, deny];
