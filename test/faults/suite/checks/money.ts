import { type Check, groupBy, type History, type Received, sumUsd, type Violation } from '../history.ts';

const DAY_MS = 86_400_000;
const isEffect = ({ did }: Received): boolean => did === 'effect';

/**
 * At no moment have the receivers done more for an agent on a day than its cap. An effect counts on the day its action was
 * admitted, which the action itself tells: a call of midnight arrives on the next.
 */
export const capsHold: Check = ({ caps, received, reads }) => {
  const created = new Map(reads.actions.map(({ action_id, created_at }) => [action_id, Date.parse(created_at)]));
  const dayOf = ({ actionId, at }: Received) => Math.floor((created.get(actionId) ?? at) / DAY_MS);
  const days = groupBy(
    received.filter((call) => isEffect(call) && caps[call.agent] !== undefined),
    (call) => `${call.agent} ${dayOf(call)}`,
  );
  return [...days.values()].flatMap((effects) => {
    const inOrder = effects.toSorted((a, b) => a.at - b.at);
    const cap = caps[inOrder[0]?.agent ?? ''] ?? 0;
    const beyond = inOrder.findIndex((_, n) => sumUsd(inOrder.slice(0, n + 1)) > cap);
    const over = inOrder[beyond];
    if (over === undefined) return [];
    const what = `${sumUsd(inOrder.slice(0, beyond + 1))} of ${cap} dollars once ${over.actionId} was done`;
    return [{ invariant: 'no cap exceeded', subject: over.agent, what }];
  });
};

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
