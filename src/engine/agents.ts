import type { AgentStatus, DisableAnswer } from '../contracts/agent.ts';
import { Refusal } from '../contracts/errors.ts';
import type { KillAnswer, KillStatus } from '../contracts/kill.ts';
import { switchedOff } from '../domain/abandonment.ts';
import { runOfAction } from '../domain/action.ts';
import type { createAbandonments } from '../store/abandonments.ts';
import type { createAgents as createAgentStore, Switching } from '../store/agents.ts';
import { type createKills, type Killed, stoppedBy } from '../store/kills.ts';
import type { createRunning, Running, RunningAction, Stopped } from '../store/running.ts';
import type { Outcomes } from './outcomes.ts';
import type { Reach } from './reach.ts';

/** Actions stopped side by side: few enough to leave the connections to others. */
const AT_ONCE = 4;
const PAGE = 100;
/** How long the answer waits for what is being stopped: clients wait 5 s in all. */
const PATIENCE_MS = 1_500;

export interface AgentEngineDeps {
  readonly agents: Pick<ReturnType<typeof createAgentStore>, 'disable' | 'enable'>;
  readonly kills: Pick<ReturnType<typeof createKills>, 'kill' | 'unkill'>;
  readonly running: ReturnType<typeof createRunning>;
  readonly abandonments: ReturnType<typeof createAbandonments>;
  readonly outcomes: Pick<Outcomes, 'ended'>;
  readonly reach: Pick<Reach, 'cancel'>;
}

/** How far the stopping of actions has come. */
interface Stopping {
  stopped: number;
  readonly done: Promise<void>;
}

export type Agents = ReturnType<typeof createAgents>;

/**
 * The kill switch. The row is what stops an agent: from its commit on nothing of it leaves. The rows of its waiting actions
 * are settled then, so that it works while Temporal or every worker is away; their workflows are canceled so that they end.
 */
export function createAgents({ agents, kills, running, abandonments, outcomes, reach }: AgentEngineDeps) {
  const underWay = new Set<Promise<void>>();

  function stopWaiting(stopped: Stopped): Stopping {
    let reachable = true;
    const stop = async ({ actionId, workflowId }: RunningAction) => {
      const { action, settled } = await abandonments.abandon(stopped.tenant, actionId, switchedOff);
      if (!settled) return;
      outcomes.ended(action);
      stopping.stopped += 1;
      // A workflow that is not reached finds its action settled when it wakes.
      if (reachable) reachable = await reach.cancel({ workflowId, runId: runOfAction(actionId) });
    };
    const stopAll = async () => {
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page: RunningAction[] = await running.page(stopped, after, PAGE);
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

  /** Stops what waits, for as long as an answer may take, and says what there was when the row was committed. */
  async function stop(stopped: Stopped, before: Running) {
    const stopping = stopWaiting(stopped);
    await within(PATIENCE_MS, stopping.done);
    return {
      stopped: stopping.stopped,
      stopping: Math.max(0, before.waiting - stopping.stopped),
      in_flight: before.inFlight,
    };
  }

  return {
    /**
     * Disables the agent: once this has resolved, nothing of it leaves any more. `stopped` counts the actions that were waiting
     * and are settled, `stopping` those that still are to be, `in_flight` those whose attempt is out; it is not followed by
     * another.
     */
    async disable(tenant: string, agentId: string, switching: Switching): Promise<DisableAnswer> {
      const { running: before, ...status } = await agents.disable(tenant, agentId, switching);
      return { ...status, ...(await stop({ tenant, agentId }, before)) };
    },

    enable: (tenant: string, agentId: string, switching: Switching): Promise<AgentStatus> =>
      agents.enable(tenant, agentId, switching),

    /**
     * The same for every agent of a tenant, or for one tool.
     *
     * @throws {Refusal} `tool_not_found`.
     */
    async kill(tenant: string, killed: Killed, switching: Switching): Promise<KillAnswer> {
      const kill = await kills.kill({ tenant, killed, ...switching });
      if (kill === undefined) throw new Refusal('tool_not_found', { tool: toolOf(killed) });
      const { running: before, reason, at } = kill;
      const status = {
        scope: killed.scope,
        tool: toolOf(killed),
        is_killed: true,
        reason,
        killed_at: at.toISOString(),
      };
      return { ...status, ...(await stop(stoppedBy(tenant, killed), before)) };
    },

    async unkill(tenant: string, killed: Killed, switching: Switching): Promise<KillStatus> {
      await kills.unkill({ tenant, killed, ...switching });
      return { scope: killed.scope, tool: toolOf(killed), is_killed: false, reason: null, killed_at: null };
    },

    /** Resolves when all is stopped that an answer has left to be stopped. */
    async drained(): Promise<void> {
      await Promise.all(underWay);
    },
  };
}

const toolOf = (killed: Killed): string | null => (killed.scope === 'tool' ? killed.tool : null);

/** Waits for the work, no longer than this; that it fails undoes nothing of what is told. */
async function within(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}
