import { CheckLockAnswer, CheckLockRequest } from '../../contracts/check-lock.ts';
import { Owner } from '../../contracts/common.ts';
import { detailOf } from '../errors.ts';
import { Reply, route } from '../route.ts';
import { acting } from '../scope.ts';
import { parsePart } from '../validation.ts';

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
  handle: async ({ tenant, actor, plan, body, header }, { locks, config }) => {
    const named = header('X-OnceOnly-Owner');
    const inHeader = named === undefined ? undefined : parsePart(Owner, named, 'body');
    const owner = body.owner ?? inHeader;
    const answer = await locks.check({ ...body, owner, tenant, actor, plan });
    const headers = { 'X-OnceOnly-Status': answer.status };
    if (answer.success || config.DUPLICATE_STATUS_CODE === 200) return new Reply(answer, { headers });
    const detail = detailOf('duplicate_blocked', { first_seen_at: answer.first_seen_at });
    return new Reply({ detail } as unknown as CheckLockAnswer, { status: 409, headers });
  },
});
