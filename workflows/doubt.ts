import { condition, defineUpdate, setHandler, workflowInfo } from '@temporalio/workflow';
import type { ActionAnswer, Doubt, Resolution } from '../src/contracts/action.ts';
import type { Course } from './course.ts';
import { refusal } from './refusal.ts';
import { callToolWithin, checkDoubt, lookAtAction, resolveAction } from './steps.ts';

export const resolveUpdate = defineUpdate<ActionAnswer, [Resolution]>('resolve');

const FIRST_LOOK_SECONDS = 15;
const LONGEST_PAUSE_SECONDS = 3600;
/** How long an idempotent tool is asked by a repeat under the same key (contract, section 5). */
const ASKED_FOR_MS = 24 * 3600 * 1000;

/** Takes the word of an operator as an update. */
export function takeResolutions(course: Course): void {
  setHandler(resolveUpdate, async (said) => {
    const resolved = await resolveAction(course.underway, said);
    if (resolved.kind === 'refused') throw refusal(resolved.code, resolved.message);
    course.changed = true;
    if (!resolved.settled) throw refusal('action_not_in_doubt', resolved.answer.decision);
    return resolved.answer;
  });
}

export type Resolved =
  | { readonly kind: 'resolved'; readonly answer: ActionAnswer }
  /** The history has grown long: the doubt goes on in a new run. */
  | { readonly kind: 'long'; readonly doubt: Doubt };

/**
 * Keeps the key taken until there is proof of what the tool did: the word of an operator, its `status_url`, an answer that was
 * only late, or, of an idempotent tool, its answer to the same call under the same key.
 */
export async function resolution(course: Course, doubt: Doubt): Promise<Resolved> {
  let { attempts } = doubt;
  const ask = callToolWithin(course.underway.tenant, doubt.timeoutMs, doubt.lane);
  for (let pause = doubt.pause || FIRST_LOOK_SECONDS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_SECONDS)) {
    course.show({ step: 'in_doubt', attempt: attempts });
    await condition(() => course.changed, `${pause} seconds`);
    let answer = await (course.changed ? lookAtAction(course.underway) : checkDoubt(course.underway));
    const isAsked = !course.changed && Date.now() - doubt.since < ASKED_FOR_MS;
    course.changed = false;
    if (answer.decision === 'in_doubt' && isAsked) {
      const report = await ask({ ...course.underway, n: attempts + 1, tool: course.request.tool, asking: true });
      if (report.kind !== 'retry') answer = report.answer;
      if (report.kind === 'in_doubt' && report.sent) attempts += 1;
    }
    if (answer.decision !== 'in_doubt') return { kind: 'resolved', answer };
    if (workflowInfo().continueAsNewSuggested) {
      const { listeners: waiting } = course;
      return {
        kind: 'long',
        doubt: { ...doubt, attempts, pause: Math.min(pause * 2, LONGEST_PAUSE_SECONDS), waiting },
      };
    }
  }
}
