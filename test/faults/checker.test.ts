import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { violationsOf } from './suite/checker.ts';
import type { Exchange, History, Received } from './suite/history.ts';

/** A moment in the middle of a day: the caps are those of a day. */
const NOON = Date.parse('2026-11-24T12:00:00Z');
const at = (second: number) => NOON + second * 1_000;

type Told = Partial<Exchange> & Pick<Exchange, 'op' | 'subject'>;

/** An exchange of so many seconds after noon that took half a second. */
const told = (second: number, { status = 200, body = {}, ...rest }: Told): Exchange => ({
  ...{ client: 'client', sentAt: at(second), endedAt: at(second + 0.5), status, body },
  ...rest,
});

/** The same, with its answer lost. */
const lost = (second: number, about: Told): Exchange => {
  const { status: _, ...exchange } = told(second, about);
  return { ...exchange, body: {}, lost: 'ECONNRESET' };
};

const call = (decision: string, action_id = 'act_1', rest: Exchange['body'] = {}): Told => ({
  ...{ op: 'call', subject: 'pay', agent: 'agent', usd: decision === 'executed' ? 2 : 0 },
  status: decision === 'pending' ? 202 : 200,
  body: {
    ...{ decision, action_id, ok: decision === 'executed' || decision === 'dedup' },
    ...(decision === 'executed' && { spend_usd: 2, result: { charge: 'ch_1' } }),
    ...(decision === 'dedup' && { spend_usd: 0, result: { charge: 'ch_1' } }),
    ...rest,
  },
});

const received = (second: number, rest: Partial<Received> = {}): Received => ({
  ...{ at: at(second), tool: 'charge', idempotencyKey: 'act_1', webhookId: 'act_1', actionId: 'act_1', agent: 'agent' },
  ...{ fence: 1, intent: 'pay', usd: 2, did: 'effect', answered: '200' },
  ...rest,
});

const action = (status: string, rest: Partial<History['reads']['actions'][number]> = {}) => ({
  ...{ action_id: 'act_1', workflow_id: 'action/default/k:pay', status, agent_id: 'agent', tool: 'charge', fence: 1 },
  ...{ spend_usd: status === 'executed' ? 2 : 0, created_at: new Date(at(0)).toISOString() },
  ...(status === 'executed' && { result: { charge: 'ch_1' } }),
  ...rest,
});

const line = (type: string, rest: Partial<History['reads']['lines'][number]> = {}) => ({
  ...{ type, key: null, agent_id: 'agent', action_id: 'act_1', decision: null },
  ...rest,
});
const decided = (decision: string, action_id = 'act_1') => line(`action_${decision}`, { decision, action_id });

/** One call that was executed, told, repeated and kept, and nothing else. */
const good: History = {
  caps: { agent: { usd: 3, calls: 2 } },
  exchanges: [told(1, call('executed')), told(3, call('dedup'))],
  received: [received(1.2)],
  quietAt: at(100),
  reads: {
    actions: [action('executed')],
    alsoFound: [],
    lines: [line('action_admitted', { decision: 'allowed' }), decided('executed'), decided('dedup')],
    approvals: [],
    logs: { agent: [{ decision: 'executed', action_id: 'act_1' }] },
    spent: { agent: 2 },
    held: { agent: 0 },
    usage: { make: 0, ai: 1 },
  },
};

type Change = Partial<Omit<History, 'reads'>> & { readonly reads?: Partial<History['reads']> };
const but = (change: Change, history = good): History => ({
  ...history,
  ...change,
  reads: { ...history.reads, ...change.reads },
});

/** Nothing was asked for and nothing is there. */
const empty = but({
  exchanges: [],
  received: [],
  reads: { actions: [], lines: [], logs: {}, spent: {}, held: {}, usage: undefined },
});

const failed = but({
  exchanges: [told(1, call('failed'))],
  received: [received(1.2, { did: 'nothing' })],
  reads: {
    actions: [action('failed')],
    lines: [decided('failed')],
    logs: { agent: [{ decision: 'failed', action_id: 'act_1' }] },
    spent: { agent: 0 },
  },
});

const acquired = (second: number, lease_id: string, fence: number, rest: Partial<Exchange> = {}) =>
  told(second, {
    ...{ op: 'lease', subject: 'report', owner: lease_id, ttl: 10 },
    body: { status: 'acquired', lease_id, fence },
    ...rest,
  });
const ended = (second: number, op: 'complete' | 'fail' | 'cancel', leaseId: string, body: Exchange['body']) =>
  told(second, { op, subject: 'report', leaseId, body });
const completed = { status: 'completed', result: { pages: 12 } };
const looked = (second: number, body: Exchange['body']) => told(second, { op: 'status', subject: 'report', body });
const ofKey = (type: string, key = 'report') => line(type, { key, agent_id: null, action_id: null });

const leased = but(
  {
    exchanges: [
      acquired(1, 'lease_1', 1),
      ended(2, 'cancel', 'lease_1', { status: 'failed', error_code: 'canceled' }),
      acquired(3, 'lease_2', 2),
      ended(4, 'complete', 'lease_2', { status: 'completed' }),
      looked(5, completed),
      looked(101, completed),
    ],
    reads: { lines: [ofKey('ai_acquired'), ofKey('ai_acquired'), ofKey('ai_completed')] },
  },
  empty,
);

const lock = (second: number, status: string, rest: Partial<Exchange> = {}) =>
  told(second, { op: 'check-lock', subject: 'evt', ttl: 10, body: { status }, ...rest });
const locked = but(
  {
    exchanges: [lock(1, 'locked'), lock(2, 'duplicate'), lock(101, 'locked')],
    reads: { lines: ['locked', 'duplicate', 'locked'].map((type) => ofKey(type, 'lock/default/k:evt')) },
  },
  empty,
);

const approval = (status: string) => ({ id: 'apr_1', action_id: 'act_1', status });
const approved = but({
  exchanges: [
    ...good.exchanges,
    told(2, { op: 'approve', subject: 'apr_1', body: { status: 'approved' } }),
    told(2.1, { op: 'deny', subject: 'apr_1', status: 409, error: 'approval_decided' }),
  ],
  reads: { approvals: [approval('approved')], lines: [...good.reads.lines, line('approval_approved')] },
});

const unavailable = { status: 503, error: 'unavailable', retryAfter: '1' };
const refused = but({ exchanges: [told(1, { op: 'call', subject: 'pay', agent: 'agent', ...unavailable })] }, empty);

const doubted = but({
  exchanges: [
    told(1, call('in_doubt')),
    told(3, {
      op: 'resolve',
      subject: 'act_1',
      body: { status: 'executed', action_id: 'act_1', result: { charge: 'ch_1' } },
    }),
  ],
  reads: { lines: [decided('in_doubt'), decided('in_doubt'), decided('executed')] },
});

const switched = but(
  {
    exchanges: [
      told(1, { op: 'disable', subject: 'agent', body: { is_enabled: false } }),
      told(2, call('blocked', 'act_2', { policy_reason: 'agent_disabled' })),
      told(4, { op: 'enable', subject: 'agent', body: { is_enabled: true } }),
    ],
    reads: { actions: [action('blocked', { action_id: 'act_2', fence: null })], lines: [decided('blocked', 'act_2')] },
  },
  empty,
);

/** A busy tool was called, and its agent disabled before the next attempt. */
const stopped = but(
  {
    exchanges: [told(1, call('blocked', 'act_1', { policy_reason: 'agent_disabled' }))],
    received: [received(1.1, { did: 'nothing', answered: '429' })],
    reads: { actions: [action('blocked')], lines: [decided('blocked')] },
  },
  empty,
);

/** A repeat was accepted, and then was found to have been made: its id leads there. */
const joined = but({
  exchanges: [...good.exchanges, told(0.9, call('pending', 'act_9'))],
  reads: { alsoFound: ['act_9'] },
});

const stories = {
  joined,
  stopped,
  good,
  empty,
  failed,
  leased,
  locked,
  approved,
  refused,
  doubted,
  switched,
};

test.each(Object.entries(stories))('nothing is wrong with a history in which nothing is: %s', (_, history) => {
  expect(violationsOf(history)).toEqual([]);
});

/** Each breaks one promise of a good history, and nothing else. */
const broken: Record<string, Record<string, History>> = {
  'effect at most once': {
    'the work is done twice, for nothing': but({
      received: [received(1.2), received(1.3, { usd: 0 })],
    }),
    'it is done again by another action': but({
      exchanges: [told(1, call('in_doubt')), lost(2, { op: 'call', subject: 'pay', usd: 0 })],
      received: [
        received(1.2, { usd: 0 }),
        received(2.2, { usd: 0, actionId: 'act_2', idempotencyKey: 'act_2', webhookId: 'act_2', fence: 2 }),
      ],
      reads: {
        actions: [
          action('executed', { spend_usd: 0 }),
          action('executed', { action_id: 'act_2', spend_usd: 0, fence: 2, created_at: new Date(at(2)).toISOString() }),
        ],
        lines: [decided('in_doubt')],
        spent: { agent: 0 },
      },
    }),
  },
  'one Idempotency-Key for each action': {
    'an attempt comes under another key': but({
      received: [received(1.1, { did: 'nothing', idempotencyKey: 'other' }), received(1.2)],
    }),
    'Standard Webhooks are told another id': but({
      received: [received(1.1, { did: 'nothing', webhookId: 'x' }), received(1.2)],
    }),
    'a key stands for two actions': but({
      received: [received(1.1, { did: 'nothing', actionId: 'act_9' }), received(1.2)],
    }),
  },
  'fences rise': {
    'a later acquisition has a lower one': but(
      {
        exchanges: leased.exchanges.map((one) => (one.body.lease_id === 'lease_1' ? acquired(1, 'lease_1', 3) : one)),
      },
      leased,
    ),
    'two acquisitions have the same': but(
      {
        exchanges: leased.exchanges.map((one) => (one.body.lease_id === 'lease_1' ? acquired(1, 'lease_1', 2) : one)),
      },
      leased,
    ),
    'a later execution of a key has the same': but({
      exchanges: [told(0, call('failed', 'act_0')), ...good.exchanges],
      reads: {
        actions: [
          action('failed', { action_id: 'act_0', created_at: new Date(at(-1)).toISOString() }),
          action('executed'),
        ],
        lines: [...good.reads.lines, decided('failed', 'act_0')],
        logs: {
          agent: [
            { decision: 'executed', action_id: 'act_1' },
            { decision: 'failed', action_id: 'act_0' },
          ],
        },
      },
    }),
    'a tool is told another than the action has': but({ received: [received(1.2, { fence: 7 })] }),
  },
  'one holder at a time': {
    'a lease is given before it is ended': but(
      {
        exchanges: leased.exchanges.map((one) =>
          one.op === 'cancel' ? { ...one, sentAt: at(3.6), endedAt: at(3.8) } : one,
        ),
      },
      leased,
    ),
    'a lock is given twice': but(
      {
        exchanges: locked.exchanges.map((one, n) => (n === 1 ? lock(2, 'locked') : one)),
        reads: { lines: [1, 2, 3].map(() => ofKey('locked', 'lock/default/k:evt')) },
      },
      locked,
    ),
  },
  'no cap exceeded': {
    'more calls arrived': but({ caps: { agent: { calls: 0 } } }),
    'receivers did for more': but({ caps: { agent: { usd: 1.99 } } }),
  },
  'spend told is spend seen': {
    'an action tells less': but({ reads: { actions: [action('executed', { spend_usd: 1 })] } }),
    'the metrics tell more': but({ reads: { spent: { agent: 3 } } }),
    'the answer tells less': but({
      exchanges: [told(1, call('executed', 'act_1', { spend_usd: 1 })), told(3, call('dedup'))],
    }),
    'a repeat is told to spend again': but({
      exchanges: [told(1, call('executed')), told(3, call('dedup', 'act_1', { spend_usd: 2 }))].map((one) => ({
        ...one,
        usd: 2,
      })),
    }),
    'nothing was done for nothing': but({
      exchanges: [],
      received: [],
      reads: { actions: [action('executed', { spend_usd: 0 })], spent: { agent: 0 } },
    }),
  },
  'nothing left without an owner': {
    'an action runs': but({
      reads: { actions: [action('running')], spent: { agent: 0 }, lines: [], logs: {} },
      exchanges: [lost(1, call('pending'))],
      received: [],
    }),
    'a doubt stays': but({
      reads: { actions: [action('in_doubt')], spent: { agent: 0 }, lines: [decided('in_doubt')], logs: {} },
      exchanges: [told(1, call('in_doubt'))],
      received: [],
    }),
    'an approval waits': but({ reads: { approvals: [approval('pending')] } }, good),
    'money is held': but({ reads: { held: { agent: 2 } } }),
    'money is held, where nobody tells': but({
      exchanges: [
        ...good.exchanges,
        told(101, {
          ...call('blocked', 'act_2', { policy_reason: 'max_spend_usd_per_day_exceeded' }),
          subject: 'the rest',
        }),
      ],
      reads: {
        actions: [action('executed'), action('blocked', { action_id: 'act_2', fence: null, workflow_id: 'other' })],
        lines: [...good.reads.lines, decided('blocked', 'act_2')],
      },
    }),
    'a key is leased': but(
      {
        exchanges: [...leased.exchanges.slice(0, 3), looked(101, { status: 'in_progress' })],
        reads: { lines: leased.reads.lines },
      },
      leased,
    ),
    'a lock outlives its time': but(
      {
        exchanges: [lock(1, 'locked'), lock(2, 'duplicate'), lock(101, 'duplicate')],
        reads: { lines: ['locked', 'duplicate', 'duplicate'].map((type) => ofKey(type, 'evt')) },
      },
      locked,
    ),
  },
  'a final thing told stays': {
    'told executed, reads failed': but({
      received: [received(1.2, { did: 'nothing' })],
      exchanges: [told(1, call('executed'))],
      reads: { actions: [action('failed')], lines: [decided('executed')], spent: { agent: 0 } },
    }),
    'read as executed, later as failed': but(
      {
        exchanges: [
          ...failed.exchanges,
          told(2, { op: 'action', subject: 'act_1', body: { status: 'executed', action_id: 'act_1' } }),
        ],
      },
      failed,
    ),
    'the result is another': but({ reads: { actions: [action('executed', { result: { charge: 'ch_2' } })] } }),
    'a repeat is told of another execution': but({
      exchanges: [told(1, call('executed')), told(3, call('dedup', 'act_2', { ok: true }))],
      reads: {
        actions: [
          action('executed'),
          action('executed', { action_id: 'act_2', workflow_id: 'other', agent_id: 'agent', spend_usd: 0 }),
        ],
        lines: [decided('executed'), decided('dedup', 'act_2')],
      },
      received: [
        received(1.2),
        received(1.3, { actionId: 'act_2', idempotencyKey: 'act_2', webhookId: 'act_2', usd: 0, intent: 'pay' }),
      ].map((one, n) => (n === 1 ? { ...one, intent: 'pay#0' } : one)),
    }),
    'a completed lease reads failed': but(
      { exchanges: [...leased.exchanges.slice(0, 5), looked(101, { status: 'failed', error_code: 'expired' })] },
      leased,
    ),
    'a completed lease has another result': but(
      { exchanges: [...leased.exchanges.slice(0, 5), looked(101, { status: 'completed', result: { pages: 13 } })] },
      leased,
    ),
    'a failed lease is given away': but(
      {
        exchanges: [
          acquired(1, 'lease_1', 1),
          ended(2, 'fail', 'lease_1', { status: 'failed', error_code: 'x' }),
          acquired(3, 'lease_2', 2),
        ],
      },
      leased,
    ),
    'an approval reads denied': but(
      {
        reads: { approvals: [approval('denied')] },
        exchanges: approved.exchanges.map((one) => (one.op === 'deny' ? lost(2.1, one) : one)),
      },
      approved,
    ),
    'resolved one way, reads the other': but(
      {
        exchanges: [
          told(3, { op: 'resolve', subject: 'act_1', body: { status: 'failed', action_id: 'act_1' } }),
          lost(1, call('executed')),
        ],
        reads: { lines: [] },
      },
      doubted,
    ),
  },
  'what was told of is there': {
    'an accepted action cannot be read': but(
      { exchanges: [told(1, call('pending', 'act_9'))], received: [], reads: { lines: [] } },
      empty,
    ),
  },
  "'nothing happened' was true": {
    'a tool is called for a request that was refused': but({ received: [received(1.2, { did: 'nothing' })] }, refused),
    'it is called before the request that was accepted': but({
      exchanges: [told(1, { op: 'call', subject: 'pay', ...unavailable }), told(3, call('dedup'))],
      reads: { lines: [decided('dedup'), decided('executed')] },
    }),
    'an action of a run that was refused is made': but(
      {
        exchanges: [told(1, { op: 'run', subject: 'pay', ...unavailable })],
        received: [received(1.2, { intent: 'pay#0', did: 'nothing' })],
      },
      empty,
    ),
    'an action that was stopped has acted': but({ received: [received(1.1, { usd: 0 })] }, stopped),
    'an action that failed has acted': but({ received: [received(1.2, { usd: 0 })] }, failed),
    'a key is taken that nobody was given': but(
      {
        exchanges: [told(1, { op: 'check-lock', subject: 'evt', ttl: 10, ...unavailable }), lock(2, 'duplicate')],
        reads: { lines: [ofKey('duplicate', 'evt')] },
      },
      empty,
    ),
    'a lease is completed by a request that was refused': but(
      {
        exchanges: [acquired(1, 'lease_1', 1), ended(2, 'complete', 'lease_1', {}), looked(3, completed)].map((one) =>
          one.op === 'complete' ? { ...one, ...unavailable } : one,
        ),
        reads: { lines: [ofKey('ai_acquired')] },
      },
      leased,
    ),
    'a person decided who was refused': but(
      {
        exchanges: approved.exchanges.filter(({ op }) => op === 'call'),
      },
      approved,
    ),
  },
  'each decision told is in the trail once': {
    'it is not': but({ reads: { lines: [decided('dedup')] } }),
    'it is there twice': but({ reads: { lines: [...good.reads.lines, decided('executed')] } }),
    'a repeat is not': but({ reads: { lines: [decided('executed')] } }),
    'a repeat is there too often': but({ reads: { lines: [...good.reads.lines, decided('dedup'), decided('dedup')] } }),
    'a doubt is there twice, and none of the lines is a repeat': but(
      { reads: { lines: [decided('in_doubt'), decided('in_doubt')].map((one) => ({ ...one, repeat: false })) } },
      doubted,
    ),
    'a block is not': but({ reads: { lines: [] } }, switched),
    "the agent's log lacks it": but({ reads: { logs: { agent: [{ decision: 'executed', action_id: 'act_8' }] } } }),
    'an approval is not': but({ reads: { lines: good.reads.lines } }, approved),
    'a lock is not': but({ reads: { lines: [ofKey('duplicate', 'evt'), ofKey('locked', 'evt')] } }, locked),
    'an acquisition is not': but({ reads: { lines: [ofKey('ai_acquired'), ofKey('ai_completed')] } }, leased),
  },
  'nothing leaves of a disabled agent': {
    'a call does': but(
      {
        exchanges: [...switched.exchanges, lost(2.1, { ...call('executed'), subject: 'past it' })],
        received: [received(2.4, { intent: 'past it' })],
        reads: { actions: [...switched.reads.actions, action('executed')], spent: { agent: 2 } },
      },
      switched,
    ),
    'an attempt begins': but(
      {
        exchanges: [lost(0.5, { ...call('executed'), subject: 'before it' }), ...switched.exchanges],
        received: [received(5, { intent: 'before it' })],
        reads: {
          actions: [
            ...switched.reads.actions,
            action('executed', { attempts: [{ started_at: new Date(at(2)).toISOString() }] }),
          ],
          spent: { agent: 2 },
        },
      },
      switched,
    ),
  },
  'usage told is usage seen': {
    'too few duplicates': but({ reads: { usage: { make: 0, ai: 0 } } }, locked),
    'too many duplicates': but({ reads: { usage: { make: 9, ai: 0 } } }, locked),
    'too few leases': but({ reads: { usage: { make: 0, ai: 1 } } }, leased),
  },
  'a fault is told as one': {
    'an error of the program': but(
      { exchanges: [told(1, { op: 'read', subject: '/v1/me', status: 500, error: 'internal' })] },
      empty,
    ),
    'no word when to come again': but(
      { exchanges: [told(1, { op: 'read', subject: '/v1/me', status: 503, error: 'unavailable' })] },
      empty,
    ),
    'an error of the caller': but(
      { exchanges: [told(1, { op: 'call', subject: 'pay', status: 404, error: 'tool_not_found' })] },
      empty,
    ),
  },
};

describe.each(Object.entries(broken))('%s', (invariant, histories) => {
  test.each(Object.entries(histories))('is not kept where %s', (_, history) => {
    const found = violationsOf(history);
    expect([...new Set(found.map((violation) => violation.invariant))]).toEqual([invariant]);
  });
});

/** Any number of calls, each of which ended somehow and was repeated some times, as a product without faults tells of them. */
const histories = fc
  .array(
    fc.record({
      decision: fc.constantFrom('executed', 'failed', 'blocked'),
      repeats: fc.nat(3),
      usd: fc.nat(5),
      gap: fc.integer({ min: 1, max: 5 }),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .map((calls) => calls.map((one, n) => ({ ...one, id: `act_${n}`, second: n * 20 })))
  .map((calls) => ({ calls, history: but({ ...seenOf(calls), reads: readOf(calls) }, empty) }));
type Model = { decision: string; repeats: number; usd: number; gap: number; id: string; second: number };

const seenOf = (calls: readonly Model[]) => ({
  caps: {
    agent: { usd: calls.reduce((sum, { decision, usd }) => sum + (decision === 'executed' ? usd : 0), 0) },
  },
  exchanges: calls.flatMap(({ decision, repeats, usd, gap, id, second }) => {
    const first = { ...call(decision, id, { spend_usd: decision === 'executed' ? usd : 0 }), usd, subject: id };
    const again = { ...call('dedup', id), usd, subject: id };
    const isRepeated = decision === 'executed';
    return [
      told(second, first),
      ...Array.from({ length: isRepeated ? repeats : 0 }, (_, n) => told(second + gap * (n + 1), again)),
    ];
  }),
  received: calls
    .filter(({ decision }) => decision !== 'blocked')
    .map(({ decision, usd, id, second }) =>
      received(second + 0.2, {
        ...{ idempotencyKey: id, webhookId: id, actionId: id, intent: id, usd },
        did: decision === 'executed' ? 'effect' : 'nothing',
      }),
    ),
});
const readOf = (calls: readonly Model[]): History['reads'] => ({
  ...empty.reads,
  actions: calls.map(({ decision, usd, id, second }) =>
    action(decision, {
      ...{ action_id: id, workflow_id: id, spend_usd: decision === 'executed' ? usd : 0 },
      ...{ fence: decision === 'blocked' ? null : 1, created_at: new Date(at(second)).toISOString() },
    }),
  ),
  lines: calls.flatMap(({ decision, id, repeats }) => [
    decided(decision, id),
    ...Array.from({ length: decision === 'executed' ? repeats : 0 }, () => decided('dedup', id)),
  ]),
});
const found = (history: History) => violationsOf(history).map(({ invariant }) => invariant);

test('nothing is found in whatever a product without faults tells, in whatever order it was written down', () => {
  const shuffled = histories.chain(({ history: { exchanges, received: calls, ...rest } }) =>
    fc
      .tuple(
        fc.shuffledSubarray([...exchanges], { minLength: exchanges.length }),
        fc.shuffledSubarray([...calls], { minLength: calls.length }),
      )
      .map(([exchanges, received]): History => ({ ...rest, exchanges, received })),
  );
  fc.assert(
    fc.property(shuffled, (history) => {
      expect(violationsOf(history)).toEqual([]);
    }),
  );
});

test('one thing that went wrong is found among any number that did not', () => {
  fc.assert(
    fc.property(histories, fc.nat(), ({ calls, history }, pick) => {
      const executed = calls.filter(({ decision }) => decision === 'executed');
      const { id, usd } = executed[pick % Math.max(1, executed.length)] ?? {};
      fc.pre(id !== undefined && usd !== undefined);
      const effects = history.received.filter((one) => one.intent === id);
      expect(found(but({ received: [...history.received, ...effects] }, history))).toContain('effect at most once');
      const lines = history.reads.lines.filter((one) => one.action_id !== id || one.decision !== 'executed');
      expect(found(but({ reads: { lines } }, history))).toContain('each decision told is in the trail once');
      const others = history.received.filter((one) => one.intent !== id);
      expect(found(but({ received: others }, history))).toContain('spend told is spend seen');
      const exchanges = history.exchanges.filter(({ subject }) => subject !== id);
      expect(found(but({ exchanges }, history))).toContain("'nothing happened' was true");
      const all = history.caps.agent?.usd ?? 0;
      const caps = { agent: { usd: all - 0.01 } };
      if (all > 0) expect(found(but({ caps }, history))).toContain('no cap exceeded');
    }),
  );
});
