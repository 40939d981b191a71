import { z } from 'zod';
import { limit, Offset, RunId, text } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import { EventAnswer, EventRequest, RunList, RunTimeline } from '../../contracts/run.ts';
import { route } from '../route.ts';

const tag = 'runs';

const append = route({
  method: 'post',
  path: '/v1/events',
  summary: "Add an event to a run's timeline",
  tag,
  body: EventRequest,
  answer: EventAnswer,
  handle: async ({ tenant, body }, { stores }) => ({
    ok: true as const,
    event_id: await stores.runs.append(tenant, body),
    run_id: body.run_id,
  }),
});

const list = route({
  method: 'get',
  path: '/v1/runs',
  summary: 'Runs, the latest first',
  tag,
  query: z.object({ limit: limit(500, 50), offset: Offset, q: text(256, 0).default('') }),
  answer: RunList,
  handle: ({ tenant, query: { q, ...page } }, { stores }) => stores.runs.list(tenant, q, page),
});

const timeline = route({
  method: 'get',
  path: '/v1/runs/:run_id',
  summary: "A run's timeline",
  tag,
  params: z.object({ run_id: RunId }),
  query: z.object({ limit: limit(2000, 200), offset: Offset }),
  answer: RunTimeline,
  refusals: ['run_not_found'],
  handle: async ({ tenant, params, query }, { stores }) => {
    const found = await stores.runs.timeline(tenant, params.run_id, query);
    if (found === undefined) throw new Refusal('run_not_found', { run_id: params.run_id });
    return found;
  },
});

export const runs = [append, list, timeline];
