import type { Policy } from '../contracts/policy.ts';
import { judge, type Said, type Verdict } from './policy.ts';
import { type PastDecision, reconsider } from './ruled-on.ts';

/** A decision that was made, and what became of it. */
export interface Decided extends PastDecision {
  readonly allowed: boolean;
  /** Whether its money counts: a call that failed gave it back. */
  readonly keepsSpend: boolean;
  readonly at: Date;
}

export interface Replayed {
  readonly verdict: Verdict;
  readonly spendMicros: number;
}

const hourOf = (at: Date): string => at.toISOString().slice(0, 13);
const dayOf = (at: Date): string => at.toISOString().slice(0, 10);

/**
 * Puts past decisions to a policy, one after the other in the order they were made, and counts in its own windows (UTC hours
 * and days) what this policy would have let through. What was blocked then counts, if it is allowed now, as if it had been
 * executed. Begin at the start of a day, so that no window is half empty. What the policy's conditions say of each is found out
 * before.
 */
export function createReplay(policy: Policy) {
  let [hour, day] = ['', ''];
  let actionsThisHour = 0;
  let microsToday = 0;
  let callsToday = new Map<string, number>();

  return (decided: Decided, said: Said): Replayed => {
    const { at, tool, allowed, keepsSpend } = decided;
    if (hourOf(at) !== hour) [hour, actionsThisHour] = [hourOf(at), 0];
    if (dayOf(at) !== day) [day, microsToday, callsToday] = [dayOf(at), 0, new Map()];
    const toolCallsToday = callsToday.get(tool) ?? 0;
    const considered = {
      ...reconsider(decided, policy),
      ...said,
      used: { actionsThisHour, toolCallsToday, microsToday },
    };
    const verdict = judge(considered);
    const { spendMicros } = considered.call;
    if (verdict.kind === 'allow') {
      actionsThisHour += 1;
      callsToday.set(tool, toolCallsToday + 1);
      if (keepsSpend || !allowed) microsToday += spendMicros;
    }
    return { verdict, spendMicros };
  };
}
