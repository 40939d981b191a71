import type { Client } from '@temporalio/client';
import type { AgentStatus, DisableAnswer } from '../contracts/agent.ts';
import { switchedOff } from '../domain/abandonment.ts';
import { answerOf, runOfAction } from '../domain/action.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { createAbandonments } from '../store/abandonments.ts';
import type { createAgents as createAgentStore, RunningAction, Switching } from '../store/agents.ts';
import { isTemporalUnavailable } from './faults.ts';

/** Actions stopped side by side: few enough to leave the connections to others. */
const AT_ONCE = 8;
/** How long one cancellation may take. */
const RPC_TIMEOUT_MS = 2_000;

export interface AgentEngineDeps {
  readonly client: Client;
  readonly agents: ReturnType<typeof createAgentStore>;
  readonly abandonments: ReturnType<typeof createAbandonments>;
  readonly metrics: Pick<Metrics, 'decided'>;
}

export type Agents = ReturnType<typeof createAgents>;

/**
 * The kill switch. The row is what stops an agent, and the rows of its waiting actions are settled at once, so that it
 * works while Temporal or every worker is away; their workflows are canceled so that whoever waits for one hears of it.
 */
export function createAgents({ client, agents, abandonments, metrics }: AgentEngineDeps) {
  /** A workflow that is not reached finds its action settled when it wakes. */
  async function wake(action: RunningAction): Promise<boolean> {
    const firstExecutionRunId = runOfAction(action.actionId);
    const handle = client.workflow.getHandle(action.workflowId, undefined, { firstExecutionRunId });
    return await client.connection
      .withDeadline(Date.now() + RPC_TIMEOUT_MS, () => handle.cancel())
      .then(
        () => true,
        (error: unknown) => !isTemporalUnavailable(error),
      );
  }

  async function stopWaiting(tenant: string, agentId: string): Promise<{ stopped: number; in_flight: number }> {
    let [stopped, inFlight, reachable] = [0, 0, true];
    const stop = async (action: RunningAction) => {
      const { action: ended, settled } = await abandonments.abandon(tenant, action.actionId, switchedOff);
      if (!settled) return;
      metrics.decided(answerOf(ended).decision, ended.policyReason);
      stopped += 1;
      if (reachable) reachable = await wake(action);
    };
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page = await agents.running(tenant, agentId, after, AT_ONCE);
      inFlight += page.filter(({ underWay }) => underWay).length;
      await Promise.all(page.filter(({ underWay }) => !underWay).map(stop));
      after = page.length < AT_ONCE ? undefined : page.at(-1)?.actionId;
    }
    return { stopped, in_flight: inFlight };
  }

  return {
    /**
     * Disables the agent: once this has resolved, nothing of it leaves any more. `stopped` counts the actions that this
     * call has stopped between two attempts, `in_flight` those whose attempt is out; it is not followed by another.
     */
    async disable(tenant: string, agentId: string, switching: Switching): Promise<DisableAnswer> {
      const status = await agents.disable(tenant, agentId, switching);
      return { ...status, ...(await stopWaiting(tenant, agentId)) };
    },

    enable: (tenant: string, agentId: string, switching: Switching): Promise<AgentStatus> =>
      agents.enable(tenant, agentId, switching),
  };
}
