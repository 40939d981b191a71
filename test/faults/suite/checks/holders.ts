import { type Check, type Exchange, groupBy, type Op, type Violation } from '../history.ts';

/** A lock or a lease as somebody was told to have it. */
export interface Holding {
  readonly key: string;
  /** Of the lease, or of who holds the lock. */
  readonly id: string;
  readonly fence: number;
  /** It was given at some moment between these. */
  readonly sentAt: number;
  readonly endedAt: number;
  /** Until then it was surely held, once it was given: nobody ended it, and its time was not over. */
  readonly until: number;
}

/** Who was given a key. An owner that asked more than once has one holding, which may be as old as its first question. */
export function holdingsOf(exchanges: readonly Exchange[], ops: readonly Op[]): Holding[] {
  const asked = exchanges.filter(({ op }) => ops.includes(op));
  const byOwner = groupBy(asked, ({ subject, owner }) => (owner === undefined ? undefined : `${subject} ${owner}`));
  const byLease = groupBy(exchanges, ({ leaseId }) => leaseId);
  const given = groupBy(
    asked.filter(({ body }) => body.status === 'locked' || body.status === 'acquired'),
    (exchange) => `${exchange.subject} ${idOf(exchange, exchanges)}`,
  );
  return [...given.values()].flatMap((answers) => {
    const [first] = answers;
    if (first === undefined) return [];
    const id = idOf(first, exchanges);
    const questions = byOwner.get(`${first.subject} ${first.owner}`) ?? answers;
    const sentAt = Math.min(...questions.map((question) => question.sentAt));
    const changes = byLease.get(id) ?? [];
    const endings = changes.filter(({ op }) => op === 'complete' || op === 'fail' || op === 'cancel');
    const extensions = changes.filter(({ op, status }) => op === 'extend' && status === 200);
    const begun = [sentAt, ...extensions.map((extension) => extension.sentAt)];
    const expiry = Math.max(...begun) + (first.ttl ?? 0) * 1000;
    return [
      {
        key: first.subject,
        id,
        fence: first.body.fence ?? 0,
        sentAt,
        endedAt: Math.min(...answers.map((answer) => answer.endedAt)),
        until: Math.min(expiry, ...endings.map((ending) => ending.sentAt)),
      },
    ];
  });
}

/** A lock has no id: it is its owner's, or this one request's. */
const idOf = (exchange: Exchange, all: readonly Exchange[]): string =>
  exchange.body.lease_id ?? exchange.owner ?? `the caller of ${exchange.sentAt}, ${all.indexOf(exchange)}`;

/** No key is surely held by two at one moment. A run ends by itself, so nobody can be sure that it still holds. */
export const oneHolder: Check = ({ exchanges }) => {
  const holdings = groupBy(holdingsOf(exchanges, ['check-lock', 'lease']), ({ key }) => key);
  return [...holdings].flatMap(([key, held]) =>
    held.flatMap((one, n) =>
      held.slice(n + 1).flatMap((other) => (overlap(one, other) ? [twice(key, one, other)] : [])),
    ),
  );
};

const overlap = (one: Holding, other: Holding): boolean => one.endedAt < other.until && other.endedAt < one.until;

const twice = (key: string, one: Holding, other: Holding): Violation => ({
  invariant: 'one holder at a time',
  subject: key,
  what: `held by ${one.id} and by ${other.id}`,
});
