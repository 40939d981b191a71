import { CheckLockAnswer } from '../../contracts/check-lock.ts';
import { Lease, LeaseResult, LeaseState } from '../../contracts/lease.ts';
import type { Caller } from './rest.ts';
import type { Scene } from './scene.ts';

const key = 'report:2026-11';
const report = { rows: 1204, file: 'report-2026-11.csv' };

/** Two agents want to do the same work at the same moment. */
export async function shareALease({ narrator, rest }: Scene): Promise<void> {
  narrator.chapter('Two agents want to write the same report at the same moment');
  const [a, b] = [rest.caller('agent A'), rest.caller('agent B')];
  const [forA, forB] = await Promise.all([acquire(a, 'may I?'), acquire(b, 'may I?')]);
  const statuses = [forA.status, forB.status].sort();
  narrator.expect('one has the lease, the other is told to wait', statuses, ['acquired', 'polling']);
  const aIsFirst = forA.status === 'acquired';
  const [holder, held] = aIsFirst ? [a, forA] : [b, forB];
  const [other, polled] = aIsFirst ? [b, forB] : [a, forA];
  narrator.expect(`the fence is ${held.fence}, known to both`, [held.fence >= 1, polled.fence], [true, held.fence]);
  narrator.expect("the holder's lease_id is its secret", polled.lease_id, null);

  await holder.call({
    method: 'POST',
    path: '/v1/ai/complete',
    body: { key, lease_id: held.lease_id, result: report },
    meaning: 'the report is written',
    answer: LeaseState,
    show: ['status', 'fence'],
  });
  const read = await other.call({
    method: 'GET',
    path: `/v1/ai/result?key=${encodeURIComponent(key)}`,
    meaning: 'what came of it?',
    answer: LeaseResult,
    show: ['status', 'result'],
  });
  narrator.expect('the other reads the result', [read.status, read.result], ['completed', report]);
  const late = await acquire(other, 'may I now?');
  narrator.expect('and nobody does the work again', late.status, 'completed');
}

/** The simplest door: a key can be taken once. */
export async function takeALock({ narrator, rest }: Scene): Promise<void> {
  narrator.chapter('The same webhook arrives twice');
  const handler = rest.caller('webhook handler');
  for (const [meaning, status, claim] of [
    ['the first delivery', 'locked', 'the first is to be handled'],
    ['the second delivery', 'duplicate', 'the second is a duplicate'],
  ] as const) {
    const answer = await handler.call({
      method: 'POST',
      path: '/v1/check-lock',
      body: { key: 'webhook:evt_42', ttl: 60 },
      meaning,
      answer: CheckLockAnswer,
      show: ['status', 'key', 'ttl', 'first_seen_at'],
    });
    narrator.expect(claim, answer.status, status);
  }
}

const acquire = (who: Caller, meaning: string): Promise<Lease> =>
  who.call({
    method: 'POST',
    path: '/v1/ai/lease',
    body: { key, ttl: 60, owner: who.name },
    meaning,
    answer: Lease,
    show: ['status', 'fence', 'lease_id', 'retry_after_sec'],
  });
