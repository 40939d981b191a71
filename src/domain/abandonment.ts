import type { PolicyReason } from '../contracts/action.ts';
import { doubt, type Ending, failure, refusedFor } from './settlement.ts';

/** An attempt as far as it matters once no other is to follow. */
export interface PastAttempt {
  readonly ended: boolean;
  /** Whether the tool may have acted on it; while it is under way nobody knows. */
  readonly mayHaveActed: boolean;
  readonly error: string | null;
}

/** How a running action stands, read under the locks that claims take. */
export interface Standing {
  /** The switch that stops it: its tenant's or tool's, or its agent's. */
  readonly stoppedBy: 'killed' | 'agent_disabled' | undefined;
  /** It is one of a run that does not hold its key any more. */
  readonly runIsOver: boolean;
  /** In their order. */
  readonly attempts: readonly PastAttempt[];
}

/** Decides how a running action ends that nobody will send again; undefined leaves it as it is. */
export type Abandon = (standing: Standing) => Ending | undefined;

export const acted = ({ ended, mayHaveActed }: PastAttempt): boolean => !ended || mayHaveActed;

/** In doubt where an attempt may have acted on the tool; as `untouched` says where nothing can have happened. */
export function givenUp(attempts: readonly PastAttempt[], untouched: Ending): Ending {
  const doubtful = attempts.find(acted);
  return doubtful === undefined ? untouched : doubt(doubtful.error ?? untouched.error ?? untouched.policyReason);
}

/** A switch stops it. An attempt under way is left to its own end, and so is what nothing stops any more. */
export const switchedOff: Abandon = ({ stoppedBy, attempts }) =>
  stoppedBy === undefined || attempts.some(({ ended }) => !ended)
    ? undefined
    : givenUp(attempts, refusedFor(stoppedBy));

/** Its run is over, however that ended. An attempt under way is left to its own end. */
export const leftByRun: Abandon = ({ runIsOver, attempts }) =>
  !runIsOver || attempts.some(({ ended }) => !ended) ? undefined : givenUp(attempts, failure('run_over'));

/** Its workflow was canceled, by the kill switch or by an operator. */
export const canceled: Abandon = ({ stoppedBy, attempts }) =>
  givenUp(attempts, stoppedBy === undefined ? failure('canceled') : refusedFor(stoppedBy));

/** Its next attempt was refused at the claim, by a switch or a list of the policy. */
export const refusedAtClaim =
  (reason: PolicyReason, error: string | null = null): Abandon =>
  ({ attempts }) =>
    givenUp(attempts, refusedFor(reason, error));

/** It cannot be sent any more, whatever the tool would say: the tool is deleted, its run is over, its step fails. */
export const impossible =
  (error: string): Abandon =>
  ({ attempts }) =>
    givenUp(attempts, failure(error));

/** Its workflow is gone (an operator terminated it): found by the next call of its key, by a reader, or by the reconciler. */
export const orphaned: Abandon = impossible('workflow_gone');
