import type { Lease, LeaseResult, LeaseState } from '../../contracts/lease.ts';
import { type OperationExamples, single } from './example.ts';
import { asked_at, done_at, key, lease_id, result } from './story.ts';

export const acquired = {
  ok: true,
  status: 'acquired',
  key,
  ttl: 300,
  ttl_left: null,
  lease_id,
  version: 1,
  fence: 1,
  first_seen_at: null,
  done_at: null,
  result_hash: null,
  error_code: null,
  retry_after_sec: null,
  usage: 412,
  limit: null,
  charged: 1,
} satisfies Lease;

const polling = {
  ...acquired,
  status: 'polling',
  ttl_left: 240,
  lease_id: null,
  first_seen_at: asked_at,
  retry_after_sec: 2,
  charged: 0,
} satisfies Lease;

const held = {
  ok: true,
  status: 'in_progress',
  key,
  ttl_left: 240,
  lease_id: null,
  version: 1,
  fence: 1,
  first_seen_at: asked_at,
  done_at: null,
  result_hash: null,
  error_code: null,
  retry_after_sec: 2,
} satisfies LeaseState;
const over = { ...held, ttl_left: null, retry_after_sec: null, done_at };
const completed = { ...over, status: 'completed', result_hash: 'sha256:9d2f' } satisfies LeaseState;
const failed = { ...over, ok: false, status: 'failed', error_code: 'card_declined' } satisfies LeaseState;
const canceled = { ...failed, error_code: 'canceled' } satisfies LeaseState;

export const leases: OperationExamples = {
  'post /v1/ai/lease': {
    id: 'acquireLease',
    description:
      'One caller holds a key at a time, for `ttl` seconds unless it extends them; the others poll and read how it ends, for 7 days. ' +
      '`fence` rises with every acquisition of the key. `retry_failed` acquires a key whose last holder failed.',
    body: {
      simple: { summary: 'For five minutes', value: { key, ttl: 300 } },
      owned: { summary: 'By a worker that may ask again', value: { key, ttl: 300, owner: 'worker-7' } },
      again: { summary: 'Once more after a failure', value: { key, ttl: 300, retry_failed: true } },
    },
    answers: {
      200: {
        acquired: { summary: 'The lease is yours: do the work', value: acquired },
        polling: { summary: 'Somebody else holds it: ask again', value: polling },
        completed: {
          summary: 'The work was done before: read its result',
          value: { ...acquired, ...completed, lease_id: null, charged: 0 } satisfies Lease,
        },
      },
    },
  },
  'post /v1/ai/extend': {
    id: 'extendLease',
    description: 'From now on the lease runs for `ttl` seconds again, 10 at the least.',
    body: single('Five more minutes', { key, lease_id, ttl: 300 }),
    answers: {
      200: single('Extended', { ok: true, status: 'extended', key, ttl: 300, version: 2, fence: 1 }),
    },
  },
  'post /v1/ai/complete': {
    id: 'completeLease',
    description: 'Final for 7 days: whoever asks for the key reads the result. A repeat changes nothing.',
    body: single('With the result of the work', { key, lease_id, result, result_hash: 'sha256:9d2f' }),
    answers: { 200: single('Completed', completed) },
  },
  'post /v1/ai/fail': {
    id: 'failLease',
    description: 'Final for 7 days, unless a later acquisition says `retry_failed`. A repeat changes nothing.',
    body: single('The card was declined', { key, lease_id, error_code: 'card_declined' }),
    answers: { 200: single('Failed', failed) },
  },
  'post /v1/ai/cancel': {
    id: 'cancelLease',
    description: 'The work was not done and anybody may do it. A repeat changes nothing.',
    body: single('The worker shuts down', { key, lease_id, reason: 'shutting down' }),
    answers: { 200: single('Canceled', canceled) },
  },
  'get /v1/ai/status': {
    id: 'getLease',
    description:
      'A lease that ran out reads `failed` with `error_code` `expired` until somebody acquires the key again.',
    parameters: { key },
    answers: {
      200: {
        held: { summary: 'Somebody is at work', value: held },
        completed: { summary: 'Done', value: completed },
        expired: { summary: 'Its holder never ended it', value: { ...failed, error_code: 'expired' } },
      },
    },
  },
  'get /v1/ai/result': {
    id: 'getLeaseResult',
    description: '`result` is null until the lease is completed. Kept for 7 days.',
    parameters: { key },
    answers: {
      200: single('Done', {
        ok: true,
        status: 'completed',
        key,
        result,
        result_hash: 'sha256:9d2f',
        error_code: null,
        done_at,
      } satisfies LeaseResult),
    },
  },
};
