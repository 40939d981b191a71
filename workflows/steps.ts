import { proxyActivities, proxyLocalActivities, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { Lane } from '../src/contracts/action.ts';

/** For as long as it takes: an outage of the database delays a step, it does not fail it. */
const patient = { initialInterval: '100ms', backoffCoefficient: 2, maximumInterval: '10s' } as const;

/** Steps that talk to the database only: local, so that the happy path of a workflow is one workflow task. */
export const {
  openLease,
  extendLease,
  finishLease,
  lookAtLease,
  admit,
  abandonAction,
  resolveAction,
  lookAtAction,
  actionUnder,
  openRun,
  renewLease,
  rehearseRun,
  finishRun,
  decideApproval,
  expireApproval,
  approvalStanding,
} = proxyLocalActivities<Activities>({ startToCloseTimeout: '30s', retry: patient });

/** What waits for strangers is on a queue of its own, and takes turns there with what is of other tenants. */
const onQueueOfCalls = (tenant: string) => ({
  taskQueue: `${workflowInfo().taskQueue}-calls`,
  priority: { fairnessKey: tenant },
});

/** Asks the tool itself, and is in no hurry. */
export const checkDoubt: Activities['checkDoubt'] = (inDoubt) =>
  proxyActivities<Activities>({
    startToCloseTimeout: '180s',
    retry: patient,
    ...onQueueOfCalls(inDoubt.tenant),
  }).checkDoubt(inDoubt);

/** Looks over what is open, as often as its schedule says: what it did not get done it does the next time. */
export const { reconcile } = proxyActivities<Activities>({
  startToCloseTimeout: '120s',
  heartbeatTimeout: '30s',
  retry: { maximumAttempts: 1 },
});

/** A call longer than this would keep its workflow task alive by heartbeats for too long: it gets an activity of its own. */
const LOCAL_CALL_MS = 20_000;

/** What an attempt may take besides the tool's own time: its share, claim, settlement, and a database that is slow. */
const AROUND_THE_CALL_MS = 45_000;

/** A worker that is silent for so long is lost: the attempt is looked at by another, long before the tool's time is up. */
const heartbeatTimeout = '10s';

/**
 * The call's step, for a tool that may take `timeoutMs` to answer. Actions that were begun by a version without a queue of calls
 * have no lane, and go on as they did.
 */
export function callToolWithin(tenant: string, timeoutMs: number, lane: Lane | undefined): Activities['callTool'] {
  const options = { startToCloseTimeout: timeoutMs + AROUND_THE_CALL_MS, retry: patient };
  const { callTool } =
    timeoutMs <= LOCAL_CALL_MS && lane !== 'queue'
      ? proxyLocalActivities<Activities>(options)
      : proxyActivities<Activities>({ ...options, heartbeatTimeout, ...onQueueOfCalls(tenant) });
  return callTool;
}
