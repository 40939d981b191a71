import type { AgentStatus, DisableAnswer } from '../contracts/agent.ts';
import { switchedOff } from '../domain/abandonment.ts';
import { runOfAction } from '../domain/action.ts';
import type { createAbandonments } from '../store/abandonments.ts';
import type { createAgents as createAgentStore, RunningAction, Switching } from '../store/agents.ts';
import type { Outcomes } from './outcomes.ts';
import type { Reach } from './reach.ts';

/** Actions stopped side by side: few enough to leave the connections to others. */
const AT_ONCE = 4;
const PAGE = 100;
/** How long the answer waits for what is being stopped: clients wait 5 s in all. */
const PATIENCE_MS = 1_500;

export interface AgentEngineDeps {
  readonly agents: ReturnType<typeof createAgentStore>;
  readonly abandonments: ReturnType<typeof createAbandonments>;
  readonly outcomes: Pick<Outcomes, 'ended'>;
  readonly reach: Pick<Reach, 'cancel'>;
}

/** How far the stopping of an agent's actions has come. */
interface Stopping {
  stopped: number;
  readonly done: Promise<void>;
}

export type Agents = ReturnType<typeof createAgents>;

/**
 * The kill switch. The row is what stops an agent: from its commit on nothing of it leaves. The rows of its waiting actions
 * are settled then, so that it works while Temporal or every worker is away; their workflows are canceled so that they end.
 */
export function createAgents({ agents, abandonments, outcomes, reach }: AgentEngineDeps) {
  const underWay = new Set<Promise<void>>();

  function stopWaiting(tenant: string, agentId: string): Stopping {
    let reachable = true;
    const stop = async ({ actionId, workflowId }: RunningAction) => {
      const { action, settled } = await abandonments.abandon(tenant, actionId, switchedOff);
      if (!settled) return;
      outcomes.ended(action);
      stopping.stopped += 1;
      // A workflow that is not reached finds its action settled when it wakes.
      if (reachable) reachable = await reach.cancel({ workflowId, runId: runOfAction(actionId) });
    };
    const stopAll = async () => {
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page: RunningAction[] = await agents.running(tenant, agentId, after, PAGE);
        const waiting = page.filter((action) => !action.underWay);
        const next = waiting.values();
        await Promise.all(
          Array.from({ length: AT_ONCE }, async () => {
            // One that cannot be settled just now keeps the others from nothing.
            for (const action of next) await stop(action).catch(() => undefined);
          }),
        );
        after = page.length < PAGE ? undefined : page.at(-1)?.actionId;
      }
    };
    const done = stopAll();
    const stopping: Stopping = { stopped: 0, done };
    // What a process does not get done the reconciler does: the answer does not depend on it.
    const settled = done.catch(() => undefined).finally(() => underWay.delete(settled));
    underWay.add(settled);
    return stopping;
  }

  return {
    /**
     * Disables the agent: once this has resolved, nothing of it leaves any more. `stopped` counts the actions that were waiting
     * and are settled, `stopping` those that still are to be, `in_flight` those whose attempt is out; it is not followed by
     * another.
     */
    async disable(tenant: string, agentId: string, switching: Switching): Promise<DisableAnswer> {
      const { running, ...status } = await agents.disable(tenant, agentId, switching);
      const stopping = stopWaiting(tenant, agentId);
      await within(PATIENCE_MS, stopping.done);
      const { stopped } = stopping;
      return { ...status, stopped, stopping: Math.max(0, running.waiting - stopped), in_flight: running.inFlight };
    },

    enable: (tenant: string, agentId: string, switching: Switching): Promise<AgentStatus> =>
      agents.enable(tenant, agentId, switching),

    /** Resolves when all is stopped that an answer has left to be stopped. */
    async drained(): Promise<void> {
      await Promise.all(underWay);
    },
  };
}

/** Waits for the work, no longer than this; that it fails undoes nothing of what is told. */
async function within(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}
