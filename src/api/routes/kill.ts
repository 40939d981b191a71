import { KillAnswer, KillRequest, KillState, KillStatus } from '../../contracts/kill.ts';
import type { Killed } from '../../store/kills.ts';
import { route } from '../route.ts';
import { operating, watching } from '../scope.ts';

const tag = 'agents';

const killedBy = ({ tool }: KillRequest): Killed =>
  tool === undefined ? { scope: 'tenant' } : { scope: 'tool', tool };

const kill = route({
  method: 'post',
  path: '/v1/kill',
  summary: 'Stop every agent, or one tool: from the answer on, no such call leaves',
  tag,
  needs: operating,
  bound: 'refused',
  body: KillRequest,
  answer: KillAnswer,
  refusals: ['tool_not_found'],
  handle: ({ tenant, actor, body }, { agents }) =>
    agents.kill(tenant, killedBy(body), { actor, reason: body.reason ?? null }),
});

const unkill = route({
  method: 'post',
  path: '/v1/unkill',
  summary: 'Let go on what was killed',
  tag,
  needs: operating,
  bound: 'refused',
  body: KillRequest,
  answer: KillStatus,
  handle: ({ tenant, actor, body }, { agents }) =>
    agents.unkill(tenant, killedBy(body), { actor, reason: body.reason ?? null }),
});

const state = route({
  method: 'get',
  path: '/v1/kill',
  summary: 'What is killed',
  tag,
  needs: watching,
  bound: 'refused',
  answer: KillState,
  handle: ({ tenant }, { stores }) => stores.kills.state(tenant),
});

export const kills = [kill, unkill, state];
