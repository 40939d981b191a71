import { type Check, groupBy, type History, type Violation } from '../history.ts';
import { type Holding, holdingsOf } from './holders.ts';

const violation = (subject: string, what: string): Violation => ({ invariant: 'fences rise', subject, what });

/** Of a key, whatever is later has a higher fence: an acquisition of its lease, an execution of its call. */
export const fencesRise: Check = (history) => [...ofLeases(history), ...ofActions(history), ...ofCalls(history)];

function ofLeases({ exchanges }: History): Violation[] {
  const holdings = groupBy(holdingsOf(exchanges, ['lease', 'run']), ({ key }) => key);
  return [...holdings].flatMap(([key, held]) => held.flatMap((one, n) => held.slice(n + 1).flatMap(pairs(key, one))));
}

const pairs = (key: string, one: Holding) => (other: Holding) => {
  const [first, last] = one.endedAt < other.sentAt ? [one, other] : [other, one];
  const inTurn = first.endedAt < last.sentAt;
  const wrong = first.fence === last.fence || (inTurn && first.fence > last.fence);
  return wrong ? [violation(key, `${first.id} has ${first.fence}, the later ${last.id} ${last.fence}`)] : [];
};

function ofActions({ reads }: History): Violation[] {
  const byKey = groupBy(
    reads.actions.filter(({ fence }) => fence !== null),
    ({ workflow_id }) => workflow_id,
  );
  return [...byKey].flatMap(([key, actions]) => {
    const inOrder = actions.toSorted((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at));
    return inOrder.slice(1).flatMap((action, n) => {
      const before = inOrder[n];
      return before !== undefined && Number(before.fence) >= Number(action.fence)
        ? [violation(key, `${before.action_id} has ${before.fence}, the later ${action.action_id} ${action.fence}`)]
        : [];
    });
  });
}

/** What arrives with a call is what the action says that it has. */
function ofCalls({ received, reads }: History): Violation[] {
  const actions = new Map(reads.actions.map((action) => [action.action_id, action]));
  return [...groupBy(received, ({ actionId }) => actionId)].flatMap(([id, calls]) => {
    const told = [...new Set([...calls.map(({ fence }) => fence), actions.get(id)?.fence ?? calls[0]?.fence])];
    return told.length > 1 ? [violation(id, `was called with ${told.join(' and ')}`)] : [];
  });
}
