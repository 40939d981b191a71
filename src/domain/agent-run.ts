import type { ActionAnswer } from '../contracts/action.ts';

/** Why a run ends with an action and makes none of the later ones; undefined where it goes on. */
export function stopsRun(answer: ActionAnswer): string | undefined {
  if (answer.decision === 'blocked') return 'policy_blocked';
  if (answer.decision === 'in_doubt') return 'in_doubt';
  return answer.ok ? undefined : 'tool_error';
}
