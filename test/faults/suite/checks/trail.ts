import { type Check, type Exchange, groupBy, type History, type Line, type Violation } from '../history.ts';

const violation = (subject: string, what: string): Violation => ({
  invariant: 'each decision told is in the trail once',
  subject,
  what,
});

/** What was told of calls, approvals, locks and leases has its line; what can be decided once has one. */
export const trailIsWhole: Check = (history) => [
  ...endings(history),
  ...repeats(history),
  ...logs(history),
  ...approvals(history),
  ...keys(history),
];

/** Ways to end that nobody is told twice under the same name: who repeats reads `dedup`. */
const toldOnce = new Set(['executed', 'failed']);

function endings({ exchanges, reads }: History): Violation[] {
  const lines = groupBy(reads.lines, ({ action_id }) => action_id ?? undefined);
  const told = new Map(
    exchanges
      .filter(({ op, body }) => op === 'call' && body.decision !== undefined && body.decision !== 'pending')
      .map(({ body }) => [`${body.action_id} ${body.decision}`, body]),
  );
  return [...told.values()].flatMap(({ action_id = '', decision = '' }) => {
    if (decision === 'dedup') return [];
    const own = (lines.get(action_id) ?? []).filter((line) => line.decision === decision);
    // Where the server does not say which line is a repeat, only their least number is known of what reads the same for all.
    const firsts = own.filter(({ repeat }) => repeat !== true);
    const canCount = toldOnce.has(decision) || own.some(({ repeat }) => repeat !== undefined);
    const isRight = canCount ? firsts.length === 1 : own.length >= 1;
    return isRight ? [] : [violation(action_id, `told ${decision}; the trail has it ${firsts.length} times`)];
  });
}

/** Each repeat that was answered has a line, and none has two. */
function repeats({ exchanges, reads }: History): Violation[] {
  const calls = exchanges.filter(({ op }) => op === 'call');
  const told = groupBy(
    calls.filter(({ body }) => body.decision === 'dedup'),
    ({ body }) => body.action_id,
  );
  const asked = groupBy(calls, ({ subject }) => subject);
  const lines = groupBy(
    reads.lines.filter(({ decision }) => decision === 'dedup'),
    ({ action_id }) => action_id ?? undefined,
  );
  return [...told].flatMap(([id, answers]) => {
    const found = lines.get(id)?.length ?? 0;
    const most = asked.get(answers[0]?.subject ?? '')?.length ?? 0;
    return found >= answers.length && found <= most
      ? []
      : [violation(id, `told dedup ${answers.length} times, asked for ${most} times; the trail has it ${found} times`)];
  });
}

/** The log of an agent tells of each call that ended what it came to, once. */
function logs({ exchanges, reads }: History): Violation[] {
  const told = new Map(
    exchanges
      .filter(({ op, body }) => op === 'call' && toldOnce.has(body.decision ?? ''))
      .map(({ body, agent = '' }) => [body.action_id ?? '', { agent, decision: body.decision }]),
  );
  return [...told].flatMap(([id, { agent, decision }]) => {
    const log = reads.logs[agent];
    if (log === undefined || !log.some(({ action_id }) => action_id !== undefined)) return [];
    const found = log.filter((item) => item.action_id === id && item.decision === decision).length;
    return found === 1 ? [] : [violation(id, `told ${decision}; the log of ${agent} has it ${found} times`)];
  });
}

function approvals({ exchanges, reads }: History): Violation[] {
  const actionOf = new Map(reads.approvals.map(({ id, action_id }) => [id, action_id]));
  const told = new Map(
    exchanges
      .filter(({ op, status }) => (op === 'approve' || op === 'deny') && status === 200)
      .map(({ subject, body }) => [subject, body.status ?? '']),
  );
  return [...told].flatMap(([id, status]) => {
    const found = reads.lines.filter(
      ({ action_id, type }) => action_id === actionOf.get(id) && type === `approval_${status}`,
    ).length;
    return found === 1 ? [] : [violation(id, `told ${status}; the trail has it ${found} times`)];
  });
}

/** Lines of a key, and how often it was told and asked for: an answer has its line, though not every line was heard of. */
function keys({ exchanges, reads }: History): Violation[] {
  const lines = groupBy(reads.lines, ({ key, type }) => (key === null ? undefined : `${type} ${bare(key)}`));
  const checks: ReadonlyArray<
    readonly [type: string, ops: readonly string[], isTold: (exchange: Exchange) => boolean]
  > = [
    ['locked', ['check-lock'], ({ body }) => body.status === 'locked'],
    ['duplicate', ['check-lock'], ({ body }) => body.status === 'duplicate'],
    ['ai_acquired', ['lease', 'run'], ({ body }) => body.status === 'acquired'],
    // Who asks for a lease that is completed has such a line too.
    ['ai_completed', ['complete', 'lease', 'run'], ({ op, body }) => op === 'complete' && body.status === 'completed'],
  ];
  return checks.flatMap(([type, ops, isTold]) => {
    const asked = groupBy(
      exchanges.filter(({ op }) => ops.includes(op)),
      ({ subject }) => subject,
    );
    return [...asked].flatMap(([key, requests]) => {
      const told = toldTimes(requests.filter(isTold));
      const found = lines.get(`${type} ${key}`)?.length ?? 0;
      const most = requests.length;
      return told <= found && found <= most
        ? []
        : [violation(key, `${type} was told ${told} times, asked for ${most} times; the trail has it ${found} times`)];
    });
  });
}

/** A lease that an owner was told of more than once was acquired, and ended, once. */
function toldTimes(answers: readonly Exchange[]): number {
  return new Set(answers.map((answer, n) => answer.body.lease_id ?? answer.leaseId ?? n)).size;
}

/** A key as its caller knows it, where the line has that of its workflow. */
const bare = (key: Line['key']): string => (key ?? '').replace(/^(?:lock|lease|run)\/[^/]+\/k:/, '');
