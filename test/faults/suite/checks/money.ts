import { type Check, groupBy, type History, type Received, sumUsd, type Violation } from '../history.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const isEffect = ({ did }: Received): boolean => did === 'effect';

/**
 * At no moment have the receivers done more for an agent than its caps. What they did counts in the day and the hour in which
 * its action was admitted, which the action itself tells: a call of midnight arrives on the next day.
 */
export const capsHold: Check = (history) => [...dollarsOfDays(history), ...callsOfHours(history)];

const exceeded = (subject: string, what: string): Violation => ({ invariant: 'no cap exceeded', subject, what });

/** Calls by their agent and its window, in the order in which they came. */
function windowsOf({ reads }: History, calls: readonly Received[], ms: number): Received[][] {
  const created = new Map(reads.actions.map(({ action_id, created_at }) => [action_id, Date.parse(created_at)]));
  const windowOf = ({ actionId, at }: Received) => Math.floor((created.get(actionId) ?? at) / ms);
  const windows = groupBy(calls, (call) => `${call.agent} ${windowOf(call)}`);
  return [...windows.values()].map((same) => same.toSorted((a, b) => a.at - b.at));
}

function dollarsOfDays(history: History): Violation[] {
  return windowsOf(history, history.received.filter(isEffect), DAY_MS).flatMap((effects) => {
    const cap = history.caps[effects[0]?.agent ?? '']?.usd ?? Number.POSITIVE_INFINITY;
    const beyond = effects.findIndex((_, n) => sumUsd(effects.slice(0, n + 1)) > cap);
    const over = effects[beyond];
    if (over === undefined) return [];
    const dollars = sumUsd(effects.slice(0, beyond + 1));
    return [exceeded(over.agent, `${dollars} of ${cap} dollars once ${over.actionId} was done`)];
  });
}

/** Every action that arrived counts, once: what it came to does not matter. */
function callsOfHours(history: History): Violation[] {
  return windowsOf(history, history.received, HOUR_MS).flatMap((calls) => {
    const [{ agent } = { agent: '' }] = calls;
    const cap = history.caps[agent]?.calls ?? Number.POSITIVE_INFINITY;
    const arrived = new Set(calls.map(({ actionId }) => actionId)).size;
    return arrived > cap ? [exceeded(agent, `${arrived} of ${cap} calls arrived`)] : [];
  });
}

const unequal = (subject: string, what: string): Violation => ({
  invariant: 'spend told is spend seen',
  subject,
  what,
});

/** What is told to be executed was done, and to the dollar; what was done is told to be executed. */
export const spendAddsUp: Check = (history) => [...byAction(history), ...byAgent(history), ...byAnswer(history)];

function byAction({ received, reads }: History): Violation[] {
  const done = groupBy(received.filter(isEffect), ({ actionId }) => actionId);
  return reads.actions
    .filter(({ action_id, status }) => status === 'executed' && !done.has(action_id))
    .map(({ action_id, tool }) => unequal(action_id, `reads executed; ${tool} did nothing`));
}

function byAgent({ received, reads }: History): Violation[] {
  const seen = groupBy(received.filter(isEffect), ({ agent }) => agent);
  const executed = groupBy(
    reads.actions.filter(({ status }) => status === 'executed'),
    ({ agent_id }) => agent_id,
  );
  return [...new Set([...seen.keys(), ...executed.keys()])].flatMap((agent) => {
    const dollars = sumUsd(seen.get(agent) ?? []);
    const told = sumUsd((executed.get(agent) ?? []).map(({ spend_usd }) => ({ usd: spend_usd })));
    const metrics = reads.spent[agent] ?? told;
    const wrong = [
      ...(told === dollars ? [] : [`its actions tell ${told} dollars, its tools saw ${dollars}`]),
      ...(metrics === dollars ? [] : [`its metrics tell ${metrics} dollars, its tools saw ${dollars}`]),
    ];
    return wrong.map((what) => unequal(agent, what));
  });
}

/** Who is told that a call was executed is told what it spent; a repeat spends nothing. */
function byAnswer({ exchanges }: History): Violation[] {
  return exchanges.flatMap(({ op, body, usd, subject }) => {
    if (op !== 'call' || usd === undefined || body.spend_usd === undefined) return [];
    const right = body.decision === 'executed' ? usd : body.decision === 'dedup' ? 0 : undefined;
    return right === undefined || right === body.spend_usd
      ? []
      : [unequal(subject, `told ${body.decision} for ${body.spend_usd} dollars; it asked for ${usd}`)];
  });
}
