import { doubt, type Ending, failure, stopped } from './settlement.ts';

/** An attempt as far as it matters once no other is to follow. */
export interface PastAttempt {
  readonly ended: boolean;
  /** Whether the tool may have acted on it; while it is under way nobody knows. */
  readonly mayHaveActed: boolean;
  readonly error: string | null;
}

/** How a running action stands, read under the locks that claims take. */
export interface Standing {
  readonly agentEnabled: boolean;
  /** In their order. */
  readonly attempts: readonly PastAttempt[];
}

/** Decides how a running action ends that nobody will send again; undefined leaves it as it is. */
export type Abandon = (standing: Standing) => Ending | undefined;

/** In doubt where an attempt may have acted on the tool; as `untouched` says where nothing can have happened. */
export function givenUp(attempts: readonly PastAttempt[], untouched: Ending): Ending {
  const doubtful = attempts.find(({ ended, mayHaveActed }) => !ended || mayHaveActed);
  return doubtful === undefined ? untouched : doubt(doubtful.error ?? untouched.error ?? untouched.policyReason);
}

/** Its agent is disabled. An attempt under way is left to its own end, and so is an agent that is enabled again. */
export const switchedOff: Abandon = ({ agentEnabled, attempts }) =>
  agentEnabled || attempts.some(({ ended }) => !ended) ? undefined : givenUp(attempts, stopped);

/** Its workflow was canceled, by the kill switch or by an operator. */
export const canceled: Abandon = ({ agentEnabled, attempts }) =>
  givenUp(attempts, agentEnabled ? failure('canceled') : stopped);

/** Its agent was found disabled when it asked for its next attempt. */
export const refused: Abandon = ({ attempts }) => givenUp(attempts, stopped);

/** Its tool was deleted. */
export const toolDeleted: Abandon = ({ attempts }) => givenUp(attempts, failure('tool_deleted'));

/** Its workflow is gone (an operator terminated it), and another call asks for its key. */
export const orphaned: Abandon = ({ attempts }) => givenUp(attempts, failure('workflow_gone'));
