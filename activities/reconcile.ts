import { Context } from '@temporalio/activity';
import { leftByRun, orphaned, switchedOff } from '../src/domain/abandonment.ts';
import { runOfAction } from '../src/domain/action.ts';
import { leaseWorkflowId, runWorkflowId } from '../src/domain/workflow-id.ts';
import type { createAbandonments } from '../src/store/abandonments.ts';
import type { createAccepted } from '../src/store/accepted.ts';
import type { createActions, OpenAction } from '../src/store/actions.ts';
import type { createLeases, HeldRow } from '../src/store/leases.ts';
import type { Telling } from './admission.ts';

const PAGE = 200;
/** Workflows that are asked side by side. */
const AT_ONCE = 8;
/** What one round takes at the most; the next goes on where it ended. */
const BUDGET_MS = 60_000;

/** What can be asked of, and said to, the workflow that a row speaks of. */
export interface Workflows {
  standingOf(execution: { workflowId: string; runId: string }): Promise<'open' | 'gone' | 'unknown'>;
  nudge(workflowId: string): Promise<unknown>;
}

export interface ReconcileDeps {
  readonly abandonments: ReturnType<typeof createAbandonments>;
  readonly accepted: ReturnType<typeof createAccepted>;
  readonly actions: ReturnType<typeof createActions>;
  readonly leases: ReturnType<typeof createLeases>;
  readonly outcomes: Telling;
  readonly workflows: Workflows;
}

/** What a round has found and mended. */
export interface Reconciled {
  readonly looked: number;
  readonly settled: number;
  readonly nudged: number;
  /** Rows that could not be looked at: the next round tries again. */
  readonly failed: number;
}

/** The referee between rows and workflows. */
export function createReconcileActivities(deps: ReconcileDeps) {
  const { abandonments, accepted, actions, leases, outcomes, workflows } = deps;
  let afterAction = '';
  let afterLease = { tenant: '', key: '' };

  async function settle({ tenant, actionId }: OpenAction, decide: typeof orphaned): Promise<boolean> {
    const { action, settled } = await abandonments.abandon(tenant, actionId, decide);
    if (settled) outcomes.ended(action);
    return settled;
  }

  async function lookAtAction(action: OpenAction, count: Counting): Promise<void> {
    const { workflowId, actionId, stopped, ofRun, decided } = action;
    // What the kill switch had not got round to when its process ended, and what a run has left waiting.
    const isOver = (stopped && (await settle(action, switchedOff))) || (ofRun && (await settle(action, leftByRun)));
    if (isOver) count.settled += 1;
    const standing = await workflows.standingOf({ workflowId, runId: runOfAction(actionId) });
    if (standing === 'gone' && (await settle(action, orphaned))) count.settled += 1;
    // A person has decided, and the workflow did not hear of it.
    if (standing === 'open' && (decided || isOver)) {
      await workflows.nudge(workflowId);
      count.nudged += 1;
    }
  }

  async function lookAtLease({ tenant, key, leaseId, ofRun, overdue, workflowRunId }: HeldRow, count: Counting) {
    const workflowId = (ofRun ? runWorkflowId : leaseWorkflowId)(tenant, key);
    const standing = await workflows.standingOf({ workflowId, runId: workflowRunId });
    if (standing === 'gone') {
      if (overdue) await leases.expire(tenant, key, leaseId);
      else await leases.orphan(tenant, key, leaseId);
      count.settled += 1;
    } else if (standing === 'open' && overdue) {
      await workflows.nudge(workflowId);
      count.nudged += 1;
    }
  }

  async function walk<T>(page: T[], look: (one: T, count: Counting) => Promise<void>, count: Counting): Promise<void> {
    for (let n = 0; n < page.length; n += AT_ONCE) {
      const looks = await Promise.allSettled(page.slice(n, n + AT_ONCE).map((one) => look(one, count)));
      // One row that cannot be settled keeps nobody from those behind it.
      for (const { reason } of looks.filter((ended) => ended.status === 'rejected')) {
        count.failed += 1;
        Context.current().log.warn('a row could not be looked at', { error: reason });
      }
      Context.current().heartbeat();
    }
    count.looked += page.length;
  }

  return {
    /**
     * Looks whether the workflows are there that rows speak of, and settles those whose workflow is closed or gone, by the
     * orphan's rule; tells workflows of decisions that they did not hear of. A bounded round: what it did not get to is the
     * next one's.
     */
    async reconcile(): Promise<Reconciled> {
      const count: Counting = { looked: 0, settled: 0, nudged: 0, failed: 0 };
      const until = Date.now() + BUDGET_MS;
      for (let isMore = true; isMore && Date.now() < until; ) {
        const page = await actions.open(afterAction, PAGE);
        await walk(page, lookAtAction, count);
        isMore = page.length === PAGE;
        afterAction = isMore ? (page.at(-1)?.actionId ?? '') : '';
      }
      for (let isMore = true; isMore && Date.now() < until; ) {
        const page = await leases.held(afterLease, PAGE);
        await walk(page, lookAtLease, count);
        isMore = page.length === PAGE;
        afterLease = (isMore && page.at(-1)) || { tenant: '', key: '' };
      }
      await accepted.tidy();
      return count;
    },
  };
}

type Counting = { -readonly [K in keyof Reconciled]: Reconciled[K] };
