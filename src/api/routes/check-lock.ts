import { CheckLockAnswer, CheckLockRequest } from '../../contracts/check-lock.ts';
import { detailOf } from '../errors.ts';
import { withOwner } from '../key-headers.ts';
import { Reply, route } from '../route.ts';
import { acting } from '../scope.ts';

export const checkLock = route({
  method: 'post',
  path: '/v1/check-lock',
  summary: 'Take a key, or hear that it is taken',
  tag: 'idempotency',
  needs: acting,
  bound: 'free',
  body: CheckLockRequest,
  answer: CheckLockAnswer,
  refusals: ['duplicate_blocked'],
  handle: async ({ tenant, actor, plan, body, sent }, { locks, config }) => {
    const answer = await locks.check({ ...withOwner(body, sent), tenant, actor, plan });
    const headers = { 'X-OnceOnly-Status': answer.status };
    if (answer.success || config.DUPLICATE_STATUS_CODE === 200) return new Reply(answer, { headers });
    const detail = detailOf('duplicate_blocked', { first_seen_at: answer.first_seen_at });
    return new Reply({ detail } as unknown as CheckLockAnswer, { status: 409, headers });
  },
});
