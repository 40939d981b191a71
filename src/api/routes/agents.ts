import { z } from 'zod';
import {
  AgentLog,
  AgentMetrics,
  AgentStatus,
  DisableAnswer,
  MetricsPeriod,
  SwitchRequest,
} from '../../contracts/agent.ts';
import { AgentId, limit } from '../../contracts/common.ts';
import { route } from '../route.ts';
import { operating, watching } from '../scope.ts';

const tag = 'agents';
const ById = z.object({ agent_id: AgentId });

const disable = route({
  method: 'post',
  path: '/v1/agents/:agent_id/disable',
  summary: 'Stop an agent: from the answer on, no call of it leaves',
  tag,
  needs: operating,
  bound: 'own',
  params: ById,
  body: SwitchRequest,
  answer: DisableAnswer,
  handle: ({ tenant, actor, params, body }, { agents }) =>
    agents.disable(tenant, params.agent_id, { actor, reason: body?.reason ?? null }),
});

const enable = route({
  method: 'post',
  path: '/v1/agents/:agent_id/enable',
  summary: 'Let an agent call again',
  tag,
  needs: operating,
  bound: 'own',
  params: ById,
  body: SwitchRequest,
  answer: AgentStatus,
  handle: ({ tenant, actor, params, body }, { agents }) =>
    agents.enable(tenant, params.agent_id, { actor, reason: body?.reason ?? null }),
});

const logs = route({
  method: 'get',
  path: '/v1/agents/:agent_id/logs',
  summary: "What was decided about an agent's calls, the latest first",
  tag,
  needs: watching,
  bound: 'own',
  params: ById,
  query: z.object({ limit: limit(500, 100) }),
  answer: z.array(AgentLog),
  handle: ({ tenant, params, query }, { stores }) => stores.agents.logs(tenant, params.agent_id, query.limit),
});

const metrics = route({
  method: 'get',
  path: '/v1/agents/:agent_id/metrics',
  summary: 'What an agent did in the last hour, day or week',
  tag,
  needs: watching,
  bound: 'own',
  params: ById,
  query: z.object({ period: MetricsPeriod.default('day') }),
  answer: AgentMetrics,
  handle: ({ tenant, params, query }, { stores }) => stores.agents.metrics(tenant, params.agent_id, query.period),
});

export const agents = [disable, enable, logs, metrics];
