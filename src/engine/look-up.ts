import type { Client } from '@temporalio/client';
import { runOfAction } from '../domain/action.ts';
import { newsOf } from '../domain/outcome.ts';
import type { createActions } from '../store/actions.ts';
import { closingOf } from './closing.ts';
import type { Hearing, Outcomes } from './outcomes.ts';

const TICK_MS = 500;
/** Between two looks for the same waiter. */
const LOOK_EVERY_MS = 5_000;
/** Looks at rows of one tick, and at workflows, which cost more: both bounded, whoever is left comes first in the next. */
const MAX_ROWS = 5_000;
const MAX_WORKFLOWS = 16;

export interface LookUpDeps {
  readonly client: Client;
  readonly outcomes: Pick<Outcomes, 'waiting' | 'deliver'>;
  readonly actions: Pick<ReturnType<typeof createActions>, 'findAll'>;
}

/**
 * The slow fallback of who waits: news gets lost when a process dies between a settlement and telling of it, or while a
 * connection is away. Rows tell first, in one statement for all who wait; where there is none, a few workflows are asked how
 * they closed. No long poll is held for anybody: a namespace has 1,200 of them.
 */
export function startLookUp({ client, outcomes, actions }: LookUpDeps): { stop(): Promise<void> } {
  let stopped = false;
  let looking: Promise<void> = Promise.resolve();
  let busy = false;

  async function look(): Promise<void> {
    const due = takeDue(outcomes.waiting());
    if (due.length === 0) return;
    const asked = new Map(due.map(({ tenant, expecting }) => [`${tenant}/${expecting}`, { tenant, expecting }]));
    const rows = new Map((await actions.findAll([...asked.values()])).map((row) => [row.actionId, row]));
    const without = due.filter(({ expecting }) => !rows.has(expecting ?? ''));
    // Once for all who wait for the same: each of thousands telling all the others is work by the square.
    for (const row of rows.values()) if (row.status !== 'running') outcomes.deliver(newsOf(row));
    await Promise.all(without.slice(0, MAX_WORKFLOWS).map(askWorkflow));
  }

  async function askWorkflow({ workflowId, expecting: actionId }: Hearing): Promise<void> {
    if (actionId === undefined) return;
    const outcome = await closingOf(client, { workflowId, runId: runOfAction(actionId) });
    if (outcome !== undefined) outcomes.deliver({ workflowId, actionId, outcome });
  }

  const timer = setInterval(() => {
    if (busy || stopped) return;
    busy = true;
    looking = look()
      .catch(() => undefined)
      .finally(() => {
        busy = false;
      });
  }, TICK_MS).unref();

  return {
    async stop() {
      stopped = true;
      clearInterval(timer);
      await looking;
    },
  };
}

function takeDue(waiting: Iterable<Hearing>): Hearing[] {
  const now = Date.now();
  const due: Hearing[] = [];
  for (const waiter of waiting) {
    if (waiter.expecting === undefined || waiter.lookAt > now) continue;
    waiter.lookAt = now + LOOK_EVERY_MS;
    due.push(waiter);
    if (due.length === MAX_ROWS) break;
  }
  return due;
}
