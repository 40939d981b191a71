import { type Check, groupBy, type History, type Violation } from '../history.ts';

const left = (subject: string, what: string): Violation => ({
  invariant: 'nothing left without an owner',
  subject,
  what,
});
const ended = new Set(['executed', 'failed', 'blocked']);

/** When all is quiet and the operator has decided what was a person's to decide, nothing is open, held or leased. */
export const nothingLeft: Check = (history) => [
  ...history.reads.actions
    .filter(({ status }) => !ended.has(status))
    .map(({ action_id, status, tool }) => left(action_id, `a call of ${tool} is ${status}`)),
  ...history.reads.approvals.filter(({ status }) => status === 'pending').map(({ id }) => left(id, 'still waits')),
  ...Object.entries(history.reads.held)
    .filter(([, usd]) => usd !== 0)
    .map(([agent, usd]) => left(agent, `holds ${usd} dollars`)),
  ...keysStillTaken(history),
  ...limitsStillTaken(history),
];

/** The last look at each lease and run, and at locks whose time is over. */
function keysStillTaken({ exchanges, quietAt }: History): Violation[] {
  const looks = exchanges.filter(({ sentAt, op }) => sentAt >= quietAt && (op === 'status' || op === 'check-lock'));
  return [...groupBy(looks, ({ subject }) => subject)].flatMap(([key, seen]) => {
    const status = seen.at(-1)?.body.status;
    if (status === 'in_progress') return [left(key, 'is leased')];
    return status === 'duplicate' ? [left(key, 'is locked')] : [];
  });
}

const limits = new Set(['max_spend_usd_per_day_exceeded', 'max_actions_per_hour_exceeded']);

/** An agent may do what it has not done: a call for just that, made for the first time in the quiet, is not blocked for a limit. */
function limitsStillTaken({ exchanges, quietAt }: History): Violation[] {
  const before = new Set(exchanges.filter(({ sentAt }) => sentAt < quietAt).map(({ subject }) => subject));
  return exchanges
    .filter(({ op, subject, body }) => op === 'call' && !before.has(subject) && body.decision === 'blocked')
    .filter(({ body }) => limits.has(body.policy_reason ?? ''))
    .map(({ agent = '', usd, body }) => left(agent, `cannot make what is left, ${usd} dollars: ${body.policy_reason}`));
}
