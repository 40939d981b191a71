import {
  type Check,
  type Exchange,
  groupBy,
  type History,
  requestOf,
  saysNothingHappened,
  type Violation,
} from '../history.ts';

const violation = (subject: string, what: string): Violation => ({
  invariant: "'nothing happened' was true",
  subject,
  what,
});

/**
 * Whatever is seen was asked for: by a request that went out before, and was not told that nothing happened. So a call that
 * arrives at a tool, an action in the list, a lock or a lease that others meet, a decision of a person.
 */
export const nothingHappened: Check = (history) => [
  ...unaskedCalls(history),
  ...unaskedActions(history),
  ...effectsOfTheFailed(history),
  ...unheldKeys(history),
  ...undecidedApprovals(history),
];

/** Whether one of these requests may have brought about what was seen at `at`. */
function mayHaveCaused(requests: readonly Exchange[] | undefined, at: number, denies = saysNothingHappened): boolean {
  return (requests ?? []).some((request) => request.sentAt <= at && !denies(request));
}

const saysNothingWasSent = (exchange: Exchange): boolean =>
  saysNothingHappened(exchange) && exchange.body.decision !== 'blocked';

function askedFor({ exchanges }: History): Map<string, Exchange[]> {
  return groupBy(
    exchanges.filter(({ op }) => op === 'call' || op === 'run'),
    ({ subject }) => subject,
  );
}

function describe(requests: readonly Exchange[] = []): string {
  const answers = requests.map(({ status, error, lost, body }) => error ?? lost ?? body.decision ?? status);
  return `its requests: ${answers.join(', ') || 'none'}`;
}

function unaskedCalls(history: History): Violation[] {
  const asked = askedFor(history);
  return history.received
    .filter(({ intent, at, did }) => {
      // Who is blocked while a busy tool is tried again is told so of a call that had arrived, and done nothing.
      const denies = did === 'effect' ? saysNothingHappened : saysNothingWasSent;
      return !mayHaveCaused(asked.get(requestOf(intent)), at, denies);
    })
    .map(({ intent, tool, did }) =>
      violation(intent, `${tool} was called (${did}); ${describe(asked.get(requestOf(intent)))}`),
    );
}

/** An action that was let through is shown, though all who asked for it were told that nothing happened. */
function unaskedActions(history: History): Violation[] {
  const told = groupBy(history.exchanges, ({ body }) => body.action_id);
  return history.reads.actions
    .filter(({ status }) => status !== 'blocked')
    .filter(({ action_id }) => {
      const answers = told.get(action_id)?.filter(({ op }) => op === 'call') ?? [];
      return answers.length > 0 && answers.every(saysNothingHappened);
    })
    .map(({ action_id, status }) => violation(action_id, `is ${status}; ${describe(told.get(action_id))}`));
}

/** What is told to have failed or to be blocked has done nothing. */
function effectsOfTheFailed({ received, exchanges, reads }: History): Violation[] {
  const effects = groupBy(
    received.filter(({ did }) => did === 'effect'),
    ({ actionId }) => actionId,
  );
  const undone = (decision: string | undefined, ok: boolean | undefined) =>
    decision === 'failed' || decision === 'blocked' || (decision === 'dedup' && ok === false);
  const told = exchanges
    .filter(({ op, body }) => op === 'call' && undone(body.decision, body.ok))
    // A disabled agent is told so for a remembered call too, and names no other action than that.
    .filter(({ body }) => body.policy_reason !== 'agent_disabled')
    .map(({ body }) => ({ id: body.action_id ?? '', as: `told ${body.decision}` }));
  const read = reads.actions
    .filter(({ status }) => undone(status, undefined))
    .map(({ action_id, status }) => ({ id: action_id, as: `reads ${status}` }));
  const wrong = new Map([...told, ...read].filter(({ id }) => effects.has(id)).map(({ id, as }) => [id, as]));
  return [...wrong].map(([id, as]) => violation(id, `${as}; ${effects.get(id)?.[0]?.tool} did it`));
}

/** Who is told that a key is taken, or how it ended, is told of somebody who may have taken or ended it. */
function unheldKeys({ exchanges }: History): Violation[] {
  const asked = groupBy(
    exchanges.filter(({ op }) => op !== 'call'),
    ({ subject }) => subject,
  );
  const unmet = (exchange: Exchange, ops: readonly string[]) => {
    const others = asked.get(exchange.subject)?.filter((other) => other !== exchange && ops.includes(other.op)) ?? [];
    return !mayHaveCaused(others.filter(isNoLook), exchange.endedAt);
  };
  return exchanges.flatMap((exchange) => {
    const causes = causesOf(exchange);
    return causes !== undefined && unmet(exchange, causes)
      ? [violation(exchange.subject, `reads ${exchange.body.status}; nobody may have brought that about`)]
      : [];
  });
}

/** An answer that only says what is there was given nothing by the key. */
const isNoLook = ({ body }: Exchange): boolean => body.status !== 'duplicate' && body.status !== 'polling';

function causesOf({ op, body }: Exchange): readonly string[] | undefined {
  if (op === 'check-lock') return body.status === 'duplicate' ? ['check-lock'] : undefined;
  if (op !== 'lease' && op !== 'status') return undefined;
  if (body.status === 'polling' || body.status === 'in_progress') return ['lease', 'run'];
  if (body.status === 'completed') return ['complete', 'run'];
  if (body.status === 'failed' && body.error_code === 'canceled') return ['cancel', 'run'];
  if (body.status === 'failed' && body.error_code !== 'expired') return ['fail', 'run'];
  return undefined;
}

function undecidedApprovals({ exchanges, reads }: History): Violation[] {
  const asked = groupBy(exchanges, ({ op, subject }) => `${op} ${subject}`);
  const verbs: Readonly<Record<string, string>> = { approved: 'approve', denied: 'deny' };
  return reads.approvals
    .filter(({ status }) => verbs[status] !== undefined)
    .filter(({ id, status }) => !mayHaveCaused(asked.get(`${verbs[status]} ${id}`), Number.POSITIVE_INFINITY))
    .map(({ id, status }) => violation(id, `is ${status}; ${describe(asked.get(`${verbs[status]} ${id}`))}`));
}
