import { canonicalize } from '../canonical.ts';
import {
  type ActionRead,
  type Check,
  type Exchange,
  groupBy,
  type History,
  mayComeAfter,
  type Violation,
} from '../history.ts';

const otherwise = (subject: string, what: string): Violation => ({
  invariant: 'a final thing told stays',
  subject,
  what,
});

/** Whoever was told a final thing reads the same thing later. A doubt may end either way. */
export const finalThingsStay: Check = (history) => [
  ...actions(history),
  ...repeats(history),
  ...leases(history),
  ...approvals(history),
];

/** Every action that anybody was told of can be read: `pending` is a promise that it was accepted. */
export const whatWasToldIsThere: Check = ({ exchanges, reads }) => {
  const read = new Set([...reads.actions.map(({ action_id }) => action_id), ...reads.alsoFound]);
  const told = new Map(
    exchanges
      .filter(({ op, body }) => op === 'call' && body.action_id !== undefined && !read.has(body.action_id))
      .map(({ subject, body }) => [body.action_id, { subject, decision: body.decision }]),
  );
  return [...told].map(([id, { subject, decision }]) => ({
    invariant: 'what was told of is there',
    subject,
    what: `told ${decision} of ${id}, which cannot be read`,
  }));
};

const later: Readonly<Record<string, readonly string[]>> = {
  executed: ['executed'],
  failed: ['failed'],
  blocked: ['blocked'],
  in_doubt: ['in_doubt', 'executed', 'failed'],
};

function actions({ exchanges, reads }: History): Violation[] {
  const read = new Map(reads.actions.map((action) => [action.action_id, action]));
  const found = new Map<string, Violation>();
  for (const { op, subject, body } of exchanges) {
    if (op !== 'call' && op !== 'resolve' && op !== 'action') continue;
    const wrong = contradiction(op === 'call' ? body : { ...body, decision: body.status }, read);
    if (wrong !== undefined) found.set(`${body.action_id} ${wrong}`, otherwise(subject, wrong));
  }
  return [...found.values()];
}

function contradiction(body: Exchange['body'], read: ReadonlyMap<string, ActionRead>): string | undefined {
  const { action_id: id, decision, ok, result } = body;
  if (id === undefined || decision === undefined) return undefined;
  const action = read.get(id);
  if (action === undefined) return undefined;
  const told = decision === 'dedup' ? (ok ? 'executed' : 'failed') : decision;
  // A disabled agent reads that it is disabled, of a remembered call too.
  if (told === 'blocked' && body.policy_reason === 'agent_disabled') return undefined;
  if (later[told]?.includes(action.status) === false) return `told ${decision} of ${id}, which reads ${action.status}`;
  const differs = told === 'executed' && canonicalize(result) !== canonicalize(action.result);
  return differs ? `told another result of ${id} than it reads` : undefined;
}

/** Once someone knows that a call was executed, whoever asks for it again is told of that execution. */
function repeats({ exchanges, reads }: History): Violation[] {
  const blocked = new Set(reads.actions.filter(({ status }) => status === 'blocked').map(({ action_id }) => action_id));
  // A disabled agent is told so of a remembered call too, if it waits for it.
  const isToBeBlocked = ({ decision, action_id = '' }: Exchange['body']) =>
    decision === 'pending' && blocked.has(action_id);
  const calls = groupBy(
    exchanges.filter(({ op, status }) => op === 'call' && status !== undefined),
    ({ subject }) => subject,
  );
  return [...calls].flatMap(([intent, asked]) => {
    const told = asked
      .filter(({ body }) => body.ok === true && (body.decision === 'executed' || body.decision === 'dedup'))
      .toSorted((a, b) => a.endedAt - b.endedAt)[0];
    if (told === undefined) return [];
    return asked
      .filter(({ sentAt, status }) => sentAt > told.endedAt && status !== 503)
      .filter(({ body }) => !isSame(told.body, body) && !isToBeBlocked(body))
      .map(({ body, status }) =>
        otherwise(
          intent,
          `told ${told.body.action_id} was executed, later ${body.decision ?? status} of ${body.action_id}`,
        ),
      );
  });
}

const isSame = (told: Exchange['body'], again: Exchange['body']): boolean =>
  (again.decision === 'blocked' && again.policy_reason === 'agent_disabled') ||
  (again.decision === 'dedup' &&
    again.ok === true &&
    again.action_id === told.action_id &&
    canonicalize(again.result) === canonicalize(told.result));

/** `completed` is final; so is a failure, until somebody asks for another try. What expired or was canceled is free. */
function leases({ exchanges }: History): Violation[] {
  const kinds = new Set(['lease', 'run', 'status', 'complete', 'fail']);
  const keys = groupBy(
    exchanges.filter(({ op }) => kinds.has(op)),
    ({ subject }) => subject,
  );
  return [...keys].flatMap(([key, asked]) => {
    const told = asked.filter(isFinal).toSorted((a, b) => a.endedAt - b.endedAt);
    const seen = new Map<string, Violation>();
    for (const first of told) {
      const retries = asked.filter((retry) => retry.retryFailed && mayComeAfter(retry, first.sentAt));
      const retriedAt = Math.min(...retries.map(({ sentAt }) => sentAt));
      const until = first.body.status === 'completed' ? Number.POSITIVE_INFINITY : retriedAt;
      for (const again of asked) {
        const isLater = again.sentAt > first.endedAt && again.endedAt < until && again.body.status !== undefined;
        if (!isLater || readsTheSame(first, again)) continue;
        const what = `told ${describe(first)}, later ${describe(again)}`;
        seen.set(what, otherwise(key, what));
      }
    }
    return [...seen.values()];
  });
}

const describe = ({ op, body }: Exchange): string => [op, body.status, body.error_code].filter(Boolean).join(' ');

const isFinal = ({ body: { status, error_code } }: Exchange): boolean =>
  status === 'completed' || (status === 'failed' && error_code !== 'expired' && error_code !== 'canceled');

function readsTheSame({ body: first }: Exchange, { body: again }: Exchange): boolean {
  const told = (value: unknown) => value !== undefined && value !== null;
  const differs = (name: 'error_code' | 'result') =>
    told(first[name]) && told(again[name]) && canonicalize(first[name]) !== canonicalize(again[name]);
  return first.status === again.status && !differs('error_code') && !differs('result');
}

function approvals({ exchanges, reads }: History): Violation[] {
  const read = new Map(reads.approvals.map(({ id, status }) => [id, status]));
  return exchanges
    .filter(({ op, status }) => (op === 'approve' || op === 'deny') && status === 200)
    .filter(({ subject, body }) => read.get(subject) !== body.status)
    .map(({ subject, body }) => otherwise(subject, `told ${body.status}, reads ${read.get(subject)}`));
}
