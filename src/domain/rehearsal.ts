import { type Asked, type Facts, type Ruling, rule } from './admission.ts';

/** A call as far as a rehearsal looks at it, with what is known of its agent and tool, its conditions judged. */
export interface Rehearsed {
  readonly asked: Asked;
  readonly facts: Facts;
}

/** Rules on calls in a row as if each one that is allowed had been made: it counts against the limits of the next. */
export function rehearse(calls: readonly Rehearsed[]): Ruling[] {
  const rulings: Ruling[] = [];
  for (const [n, { asked, facts }] of calls.entries()) {
    let { actionsThisHour, microsToday, toolCallsToday } = facts.used;
    for (const [earlier, ruling] of rulings.entries()) {
      if (ruling.kind !== 'allow') continue;
      actionsThisHour += 1;
      microsToday += ruling.spendMicros;
      if (calls[earlier]?.asked.tool === asked.tool) toolCallsToday += 1;
    }
    rulings[n] = rule(asked, { ...facts, used: { actionsThisHour, microsToday, toolCallsToday } });
  }
  return rulings;
}
