import { type Abandon, leftByRun, orphaned } from '../../domain/abandonment.ts';
import { type ActionRecord, isOpen, runOfAction } from '../../domain/action.ts';
import type { createAbandonments } from '../../store/abandonments.ts';
import type { Outcomes } from '../outcomes.ts';
import type { Reach } from '../reach.ts';

export interface LivenessDeps {
  readonly abandonments: ReturnType<typeof createAbandonments>;
  readonly outcomes: Pick<Outcomes, 'ended'>;
  readonly reach: Pick<Reach, 'standingOf'>;
}

export type Liveness = ReturnType<typeof createLiveness>;

/** Whether what a row says is open is: the reconciler's rule on the read path. */
export const createLiveness = ({ abandonments, outcomes, reach }: LivenessDeps) => {
  async function settle(tenant: string, actionId: string, decide: Abandon): Promise<boolean> {
    const { action, settled } = await abandonments.abandon(tenant, actionId, decide);
    if (settled) outcomes.ended(action);
    return isOpen(action.status);
  }

  return {
    /**
     * Whether an open action goes on. One whose workflow is gone, or whose run is over, is settled here and now, by the same
     * rules as the reconciler's: nobody is told that something goes on which does not.
     */
    async isThere(tenant: string, { actionId, workflowId, ofRun }: ActionRecord): Promise<boolean> {
      if (ofRun && !(await settle(tenant, actionId, leftByRun))) return false;
      if ((await reach.standingOf({ workflowId, runId: runOfAction(actionId) })) !== 'gone') return true;
      return await settle(tenant, actionId, orphaned);
    },
  };
};
