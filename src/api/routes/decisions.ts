import { z } from 'zod';
import { AgentId, text } from '../../contracts/common.ts';
import { Explanation, SimulateRequest, Simulation } from '../../contracts/decision.ts';
import { Refusal } from '../../contracts/errors.ts';
import { mayActFor } from '../bound.ts';
import { checkConditions } from '../checked.ts';
import { route } from '../route.ts';
import { watching } from '../scope.ts';

const tag = 'policies';

const simulate = route({
  method: 'post',
  path: '/v1/policies/:agent_id/simulate',
  summary: 'Try a policy on a call, or on the decisions of the last days, without making any',
  tag,
  needs: watching,
  bound: 'own',
  params: z.object({ agent_id: AgentId }),
  body: SimulateRequest,
  answer: Simulation,
  refusals: ['unknown_tools', 'tool_not_found'],
  handle: async ({ tenant, params: { agent_id }, body, signal }, { stores, decisions, judge }) => {
    if (body.policy !== undefined) {
      await checkConditions(judge, tenant, body.policy.conditions, ['policy']);
      const tools = await stores.policies.unknownTools(tenant, agent_id, body.policy);
      if (tools.length > 0) throw new Refusal('unknown_tools', { tools });
    }
    return await decisions.simulate(tenant, agent_id, body, signal);
  },
});

const explain = route({
  method: 'get',
  path: '/v1/decisions/:action_id/explain',
  summary: 'Why a call was allowed or blocked',
  tag,
  needs: watching,
  bound: 'own',
  params: z.object({ action_id: text(128) }),
  answer: Explanation,
  refusals: ['decision_not_found'],
  handle: async ({ tenant, agents, params }, { decisions }) => {
    const explanation = await decisions.explain(tenant, params.action_id);
    mayActFor(agents, explanation.agent_id);
    return explanation;
  },
});

export const decisions = [simulate, explain];
