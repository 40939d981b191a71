import { z } from 'zod';
import { AgentId } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import { PolicyAnswer, PolicyRequest } from '../../contracts/policy.ts';
import { route } from '../route.ts';
import { ValidationError } from '../validation.ts';

const tag = 'policies';
const ByAgent = z.object({ agent_id: AgentId });

const save = route({
  method: 'post',
  path: '/v1/policies/:agent_id',
  summary: "Create or replace an agent's policy",
  tag,
  params: ByAgent,
  body: PolicyRequest,
  answer: PolicyAnswer,
  refusals: ['unknown_tools'],
  handle: async ({ tenant, actor, params, body: { agent_id, ...policy } }, { stores }) => {
    if (agent_id !== undefined && agent_id !== params.agent_id) {
      const msg = 'agent_id should be the one in the path';
      throw new ValidationError([{ type: 'value_error', loc: ['body', 'agent_id'], msg, input: agent_id }]);
    }
    const saved = await stores.policies.save(tenant, params.agent_id, policy, actor);
    if (saved.kind === 'unknown_tools') throw new Refusal('unknown_tools', { tools: saved.tools });
    return saved.answer;
  },
});

const list = route({
  method: 'get',
  path: '/v1/policies',
  summary: 'The policy in force of every agent',
  tag,
  answer: z.array(PolicyAnswer),
  handle: ({ tenant }, { stores }) => stores.policies.list(tenant),
});

const get = route({
  method: 'get',
  path: '/v1/policies/:agent_id',
  summary: "An agent's policy in force",
  tag,
  params: ByAgent,
  answer: PolicyAnswer,
  refusals: ['policy_not_found'],
  handle: async ({ tenant, params }, { stores }) => {
    const policy = await stores.policies.get(tenant, params.agent_id);
    if (policy === undefined) throw new Refusal('policy_not_found', { agent_id: params.agent_id });
    return policy;
  },
});

export const policies = [save, list, get];
