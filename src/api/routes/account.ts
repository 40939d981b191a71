import { z } from 'zod';
import { AgentLog, Me } from '../../contracts/account.ts';
import { AgentId, limit } from '../../contracts/common.ts';
import { route } from '../route.ts';

const me = route({
  method: 'get',
  path: '/v1/me',
  summary: 'Whose key this is',
  tag: 'account',
  answer: Me,
  handle: ({ principal }, { stores }) => stores.accounts.me(principal),
});

const logs = route({
  method: 'get',
  path: '/v1/agents/:agent_id/logs',
  summary: "What was decided about an agent's calls, the latest first",
  tag: 'agents',
  params: z.object({ agent_id: AgentId }),
  query: z.object({ limit: limit(500, 100) }),
  answer: z.array(AgentLog),
  handle: ({ tenant, params, query }, { stores }) => stores.accounts.logs(tenant, params.agent_id, query.limit),
});

export const account = [me, logs];
