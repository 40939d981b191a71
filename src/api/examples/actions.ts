import type { Action, ActionAnswer, ActionItem, ActionList } from '../../contracts/action.ts';
import { type OperationExamples, single } from './example.ts';
import { acquired } from './leases.ts';
import * as story from './story.ts';

const { action_id, agent_id, args, args_hash, asked_at, done_at, key, result, run_id, tool, workflow_id } = story;

const executed = {
  ok: true,
  allowed: true,
  decision: 'executed',
  policy_reason: 'ok',
  risk_level: 'low',
  result,
  action_id,
  workflow_id,
  run_id,
  spend_usd: 42,
  policy_version: 3,
} satisfies ActionAnswer;

const item = {
  action_id,
  status: 'executed',
  agent_id,
  tool,
  tool_version: 1,
  args_hash,
  decision: 'executed',
  policy_reason: 'ok',
  policy_version: 3,
  risk_level: 'low',
  spend_usd: 42,
  fence: 1,
  run_id,
  workflow_id,
  temporal_url: story.temporal_url,
  created_at: asked_at,
  done_at,
} satisfies ActionItem;
const first = { n: 1, started_at: asked_at, ended_at: done_at, outcome: 'success', http_status: 200 };
const action = { ...item, attempts: [first], result } satisfies Action;

const bodies = {
  call: {
    summary: 'Mode B: one call of a tool',
    value: { agent_id, tool, args, spend_usd: 42, idempotency_key: key, run_id },
  },
  impatient: {
    summary: 'Mode B: one call, and back after 5 seconds at the latest',
    value: { agent_id, tool, args, spend_usd: 42, wait: 5 },
  },
  run: {
    summary: 'Mode A: several calls in a row under one key',
    value: {
      key,
      ttl: 300,
      metadata: {
        agent_id,
        run_id,
        actions: [
          { tool, args, spend_usd: 42 },
          { tool: 'email.send', args: { template: 'receipt', invoice: 'invoice-789' } },
        ],
      },
    },
  },
  rehearsal: {
    summary: 'Mode A, dry run: decide, and call nothing',
    value: { key: `dry:${key}`, metadata: { agent_id, actions: [{ tool, args, spend_usd: 42 }], dry_run: true } },
  },
};

const blocked = {
  ...executed,
  ok: false,
  allowed: false,
  decision: 'blocked',
  policy_reason: 'max_spend_usd_per_day_exceeded',
  risk_level: 'high',
  result: null,
} satisfies ActionAnswer;
const pending = {
  ...executed,
  ok: false,
  allowed: false,
  decision: 'pending',
  policy_reason: 'approval_required',
  risk_level: 'medium',
  result: { action_id, status_url: `/v1/actions/${action_id}` },
} satisfies ActionAnswer;
const inDoubt = {
  ...pending,
  decision: 'in_doubt',
  policy_reason: 'in_doubt',
} satisfies ActionAnswer;

export const actions: OperationExamples = {
  'post /v1/ai/run': {
    id: 'run',
    description:
      'Exactly one of two modes. Mode B (`agent_id` and `tool`) makes one call, if the policy of the agent allows it, and waits for its outcome up to `wait` seconds (30 where absent, 60 at the most). Headers may say both: `Idempotency-Key`, and `Prefer: wait=10`. ' +
      'Mode A (`key`) acquires a lease and makes the first 50 calls of `metadata.actions` in their order; its outcome is read at `/v1/ai/result`. ' +
      'A call that a policy blocks is a 200 with `allowed: false`, and a repeat of a call that was made is a 200 with the first outcome.',
    body: bodies,
    answers: {
      200: {
        executed: { summary: 'Mode B: the call was made', value: executed },
        dedup: {
          summary: 'Mode B: it was made before, this is its outcome',
          value: { ...executed, decision: 'dedup', policy_reason: 'tool_idempotency' } satisfies ActionAnswer,
        },
        blocked: { summary: 'Mode B: the policy does not allow it, nothing was sent', value: blocked },
        in_doubt: { summary: 'Mode B: sent, and nobody knows what became of it', value: inDoubt },
        acquired: { summary: 'Mode A: the run has begun', value: acquired },
      },
      202: { pending: { summary: 'Mode B: it waits for a person', value: pending } },
    },
  },
  'get /v1/actions': {
    id: 'listActions',
    description: 'In pages: `cursor` is the `next_cursor` of the page before, which is null on the last one.',
    parameters: { status: 'executed', agent_id, limit: 100, cursor: story.cursorAfter(action_id) },
    answers: {
      200: single('The last page', { items: [item], next_cursor: null } satisfies ActionList),
    },
  },
  'get /v1/actions/:action_id': {
    id: 'getAction',
    description: 'How a governed call stands, its attempts and its result, with a link to its workflow.',
    parameters: { action_id },
    answers: { 200: single('Made at the first attempt', action) },
  },
  'post /v1/actions/:action_id/resolve': {
    id: 'resolveAction',
    description:
      'A call whose answer was lost is `in_doubt` and is never sent again. Who looked it up at the service behind the tool says here what happened; after `not_executed` the key is free again.',
    parameters: { action_id },
    body: {
      executed: { summary: 'It happened', value: { outcome: 'executed', result, reason: 'found in the dashboard' } },
      not_executed: { summary: 'It did not', value: { outcome: 'not_executed', reason: 'no charge on file' } },
    },
    answers: {
      200: single('Settled', {
        ...action,
        attempts: [{ ...first, outcome: 'in_doubt', http_status: null }],
      } satisfies Action),
    },
  },
};
