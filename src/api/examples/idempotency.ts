import type { z } from 'zod';
import type { CheckLockAnswer, CheckLockRequest } from '../../contracts/check-lock.ts';
import type { OperationExamples } from './example.ts';
import { asked_at, key } from './story.ts';

export const idempotency: OperationExamples = {
  'post /v1/check-lock': {
    id: 'checkLock',
    description:
      'The first request under a key gets `locked` and does its work; every other gets `duplicate` until `ttl` seconds are over, and leaves it. ' +
      'A `ttl` of 1 to 9 is raised to 10, one above the maximum of the plan is lowered to it. A repeat by the same `owner` gets `locked` again, so that a lost answer loses no work; the header `X-OnceOnly-Owner` names it too, and `metadata.onceonly_owner`, which is not kept.',
    body: {
      simple: { summary: 'For the plan’s default time', value: { key } },
      owned: {
        summary: 'By a worker that may ask again',
        value: { key, ttl: 3600, owner: 'worker-7', metadata: { invoice: 'invoice-789' } } satisfies z.input<
          typeof CheckLockRequest
        >,
      },
    },
    answers: {
      200: {
        locked: {
          summary: 'The key was free: do the work',
          value: { success: true, status: 'locked', key, ttl: 3600, first_seen_at: null } satisfies CheckLockAnswer,
        },
        duplicate: {
          summary: 'The key is taken: leave the work',
          value: {
            success: false,
            status: 'duplicate',
            key,
            ttl: 3600,
            first_seen_at: asked_at,
          } satisfies CheckLockAnswer,
        },
      },
    },
  },
};
