import { type Check, type History, mayComeAfter, type Violation } from '../history.ts';

/** Between an answer that an agent is off, and the next request to turn it on. */
interface Off {
  readonly agent: string;
  readonly from: number;
  readonly to: number;
}

const violation = (subject: string, what: string): Violation => ({
  invariant: 'nothing leaves of a disabled agent',
  subject,
  what,
});

/** While an agent is off no attempt of its actions begins, and no call that was asked for meanwhile arrives. */
export const switchHolds: Check = (history) => {
  const off = timesOff(history);
  return [...newCalls(history, off), ...newAttempts(history, off)];
};

function timesOff({ exchanges }: History): Off[] {
  const turnedOn = exchanges.filter(({ op }) => op === 'enable');
  return exchanges
    .filter(({ op, status }) => op === 'disable' && status === 200)
    .map(({ subject: agent, endedAt: from }) => {
      const later = turnedOn.filter((on) => on.subject === agent && mayComeAfter(on, from));
      return { agent, from, to: Math.min(...later.map(({ sentAt }) => sentAt)) };
    });
}

function newCalls({ exchanges, received }: History, off: readonly Off[]): Violation[] {
  const firstAsked = new Map<string, number>();
  for (const { op, subject, sentAt } of exchanges) {
    if (op === 'call') firstAsked.set(subject, Math.min(sentAt, firstAsked.get(subject) ?? sentAt));
  }
  return received
    .filter(({ agent, intent, at }) =>
      off.some((time) => time.agent === agent && time.from < (firstAsked.get(intent) ?? 0) && at < time.to),
    )
    .map(({ intent, tool }) => violation(intent, `${tool} was called`));
}

/** An attempt begins with its claim, in the database: what it says of its time is older than the answer it may have raced. */
function newAttempts({ reads }: History, off: readonly Off[]): Violation[] {
  return reads.actions.flatMap(({ action_id, agent_id, attempts = [] }) => {
    const times = attempts.map(({ started_at }) => Date.parse(started_at));
    const began = times.find((at) => off.some(({ agent, from, to }) => agent === agent_id && at > from && at < to));
    return began === undefined ? [] : [violation(action_id, `an attempt began at ${new Date(began).toISOString()}`)];
  });
}
