import { z } from 'zod';
import { limit, Offset, offset, RunId, text } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import { EventAnswer, EventRequest, eventOf, FeedEvent, RunList, RunTimeline } from '../../contracts/run.ts';
import { idempotencyKeyOf } from '../key-headers.ts';
import { route } from '../route.ts';
import { acting, following } from '../scope.ts';

const tag = 'runs';

const append = route({
  method: 'post',
  path: '/v1/events',
  summary: "Add an event to a run's timeline",
  tag,
  needs: acting,
  bound: 'own',
  body: EventRequest,
  answer: EventAnswer,
  refusals: ['idempotency_mismatch'],
  handle: async ({ tenant, actor, agents, body, sent }, { stores }) => {
    // Of a key that speaks for one agent, it is that agent's.
    const [only, ...others] = agents ?? [];
    const told = eventOf(body);
    const event = others.length === 0 && only !== undefined ? { ...told, agent_id: only } : told;
    const appended = await stores.runs.append(tenant, event, { actor, idempotencyKey: idempotencyKeyOf(sent) });
    if (appended.kind === 'idempotency_mismatch') throw new Refusal(appended.kind);
    return { ok: true as const, event_id: appended.id, run_id: body.run_id };
  },
});

/** An offset walks past what it skips; what lies further back is in the audit trail, which has a cursor. */
const MAX_FEED_OFFSET = 100_000;

const feed = route({
  method: 'get',
  path: '/v1/events',
  summary: 'What happened besides governed calls, the latest first',
  tag,
  needs: following,
  bound: 'own',
  query: z.object({ limit: limit(500, 50), offset: offset(MAX_FEED_OFFSET) }),
  answer: z.array(FeedEvent),
  handle: ({ tenant, agents, query }, { stores }) => stores.feed.list(tenant, agents, query),
});

const list = route({
  method: 'get',
  path: '/v1/runs',
  summary: 'Runs, the latest first',
  tag,
  needs: following,
  bound: 'own',
  query: z.object({ limit: limit(500, 50), offset: Offset, q: text(256, 0).default('') }),
  answer: RunList,
  handle: ({ tenant, agents, query: { q, ...page } }, { stores }) => stores.runs.list(tenant, agents, q, page),
});

const timeline = route({
  method: 'get',
  path: '/v1/runs/:run_id',
  summary: "A run's timeline",
  tag,
  needs: following,
  bound: 'own',
  params: z.object({ run_id: RunId }),
  query: z.object({ limit: limit(2000, 200), offset: Offset }),
  answer: RunTimeline,
  refusals: ['run_not_found'],
  handle: async ({ tenant, agents, params, query }, { stores }) => {
    const found = await stores.runs.timeline(tenant, agents, params.run_id, query);
    if (found === undefined) throw new Refusal('run_not_found', { run_id: params.run_id });
    return found;
  },
});

export const runs = [append, feed, list, timeline];
