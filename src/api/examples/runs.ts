import type { EventRequest, FeedEvent, RunEvent, RunList, RunTimeline } from '../../contracts/run.ts';
import { type OperationExamples, single } from './example.ts';
import { agent_id, key, run_id, tool } from './story.ts';

const ts = 1_795_512_600;
const page = { limit: 50, offset: 0 };

const told = {
  run_id,
  type: 'step',
  ts,
  status: 'ok',
  duration_ms: 180,
  step: 'load-invoice',
  agent_id,
  message: 'invoice-789 is open',
  data: { amount: 4200 },
} satisfies EventRequest;

const event = { id: 1042, ...told, tool: null, req_id: null, lease_id: null } satisfies RunEvent;

export const runs: OperationExamples = {
  'post /v1/events': {
    id: 'appendEvent',
    description:
      'A run is a timeline of events under one `run_id`; the server adds those of governed calls itself. `ts` is in Unix seconds (or milliseconds of 13 digits), the server’s clock where absent. What else is sent is kept in `data`. With the header `Idempotency-Key` a repeat adds nothing; without it and without a `ts`, an equal event of the same key within a minute is a repeat.',
    body: {
      simple: { summary: 'A step has begun', value: { run_id, type: 'step', step: 'load-invoice' } },
      full: { summary: 'A step is over', value: told },
    },
    answers: { 200: single('Added', { ok: true, event_id: event.id, run_id }) },
  },
  'get /v1/events': {
    id: 'listEvents',
    description: 'The feed of the tenant: locks, leases, and changes of policies, tools and agents.',
    parameters: page,
    answers: {
      200: single('A lock and a change', [
        { ts: ts + 1, type: 'locked', key, charged: 1 },
        { ts, type: 'policy_set', agent_id, version: 3 },
      ] satisfies FeedEvent[]),
    },
  },
  'get /v1/runs': {
    id: 'listRuns',
    description: '`q` is the beginning of a `run_id`.',
    parameters: { ...page, q: 'run-2026' },
    answers: {
      200: single('One run', {
        total: 1,
        items: [{ run_id, last_ts: ts + 2, last_type: 'run_finished', last_status: 'ok', events_count: 5 }],
      } satisfies RunList),
    },
  },
  'get /v1/runs/:run_id': {
    id: 'getRun',
    description:
      'Besides what was added: `run_started`, `tool_call`, `tool_result` and `run_finished` of governed calls.',
    parameters: { run_id, limit: 200, offset: 0 },
    answers: {
      200: single('A step and a call', {
        run_id,
        total: 2,
        events: [
          event,
          { ...event, id: 1043, ts: ts + 1, type: 'tool_result', step: null, tool, message: null, data: null },
        ],
      } satisfies RunTimeline),
    },
  },
};
