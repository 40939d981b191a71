import { z } from 'zod';
import { AgentId } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import { ListedPolicy, type Policy, PolicyAnswer, PolicyRequest, TemplateRequest } from '../../contracts/policy.ts';
import { policyFrom } from '../../domain/templates.ts';
import { checkConditions } from '../checked.ts';
import type { ApiDeps } from '../deps.ts';
import { type RouteInput, route } from '../route.ts';
import { operating, watching } from '../scope.ts';
import { ValidationError } from '../validation.ts';

const tag = 'policies';
const ByAgent = z.object({ agent_id: AgentId });

const save = route({
  method: 'post',
  path: '/v1/policies/:agent_id',
  summary: "Create or replace an agent's policy",
  tag,
  needs: operating,
  bound: 'own',
  params: ByAgent,
  body: PolicyRequest,
  answer: PolicyAnswer,
  refusals: ['unknown_tools'],
  handle: async (input, deps) => {
    const { agent_id, ...policy } = input.body;
    await checkConditions(deps.judge, input.tenant, policy.conditions, []);
    return store(input, agent_id, policy, deps);
  },
});

const fromTemplate = route({
  method: 'post',
  path: '/v1/policies/:agent_id/from-template',
  summary: "Create or replace an agent's policy by a template",
  tag,
  needs: operating,
  bound: 'own',
  params: ByAgent,
  body: TemplateRequest,
  answer: PolicyAnswer,
  refusals: ['unknown_tools'],
  handle: async (input, deps) => {
    const { template, overrides = {}, agent_id } = input.body;
    await checkConditions(deps.judge, input.tenant, overrides.conditions, ['overrides']);
    return store(input, agent_id, policyFrom(template, overrides), deps);
  },
});

const list = route({
  method: 'get',
  path: '/v1/policies',
  summary: 'The policy in force of every agent',
  tag,
  needs: watching,
  bound: 'own',
  answer: z.array(ListedPolicy),
  handle: ({ tenant, agents }, { stores }) => stores.policies.list(tenant, agents),
});

const get = route({
  method: 'get',
  path: '/v1/policies/:agent_id',
  summary: "An agent's policy in force",
  tag,
  needs: watching,
  bound: 'own',
  params: ByAgent,
  answer: PolicyAnswer,
  refusals: ['policy_not_found'],
  handle: async ({ tenant, params }, { stores }) => {
    const policy = await stores.policies.get(tenant, params.agent_id);
    if (policy === undefined) throw new Refusal('policy_not_found', { agent_id: params.agent_id });
    return policy;
  },
});

export const policies = [save, fromTemplate, list, get];

/** Clients name the agent in the body too; it has to be the one in the path. */
async function store(
  { tenant, actor, params }: Pick<RouteInput<typeof ByAgent, undefined, undefined>, 'tenant' | 'actor' | 'params'>,
  named: string | undefined,
  policy: Policy,
  { stores }: ApiDeps,
): Promise<PolicyAnswer> {
  if (named !== undefined && named !== params.agent_id) {
    const msg = 'agent_id should be the one in the path';
    throw new ValidationError([{ type: 'value_error', loc: ['body', 'agent_id'], msg, input: named }]);
  }
  const saved = await stores.policies.save(tenant, params.agent_id, policy, actor);
  if (saved.kind === 'unknown_tools') throw new Refusal('unknown_tools', { tools: saved.tools });
  return saved.answer;
}
