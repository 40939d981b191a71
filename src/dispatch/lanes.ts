import { LRUCache } from 'lru-cache';
import type { Lane } from '../contracts/action.ts';
import { createShares, type GiveBack } from '../domain/shares.ts';
import { createPace } from './pace.ts';

/** Calls at once on the queue of calls, and within workflow tasks, of one process. */
const QUEUE_SLOTS = 500;
const LOCAL_SLOTS = 300;
/** A place that was kept for a call which never came is given to others. */
const KEPT_MS = 60_000;
/** A call may wait for its share within its activity for so long; then it comes again. */
const WAIT_MS = 15_000;
/** Calls that wait so, of one process. */
const MAX_WAITING = 1_500;

export interface LaneLimits {
  readonly tenantMax: number;
  readonly toolMax: number;
}

export type Lanes = ReturnType<typeof createLanes>;

interface Waiter {
  readonly tenant: string;
  readonly tool: string;
  readonly take: (giveBack: GiveBack) => void;
}

/** Keeps who waits for strangers apart from who decides, and each tenant's and tool's calls within their share. */
export function createLanes({ tenantMax, toolMax }: LaneLimits) {
  const pace = createPace();
  const local = createShares({ tenantMax, partMax: toolMax, slots: LOCAL_SLOTS });
  const queue = createShares({ tenantMax, partMax: toolMax, slots: QUEUE_SLOTS });
  const room = createShares({ tenantMax: 0, partMax: 0, slots: MAX_WAITING });
  const kept = new LRUCache<string, GiveBack>({
    max: LOCAL_SLOTS,
    ttl: KEPT_MS,
    ttlAutopurge: true,
    dispose: (giveBack) => giveBack(),
  });
  const waiting = new Set<Waiter>();

  /** Whoever has waited longest and may go on goes on. */
  function serve(): void {
    for (const waiter of waiting) {
      const giveBack = queue.take(waiter.tenant, waiter.tool);
      if (giveBack === undefined) continue;
      waiting.delete(waiter);
      waiter.take(served(giveBack));
    }
  }
  const served = (giveBack: GiveBack): GiveBack => {
    return () => {
      giveBack();
      serve();
    };
  };

  async function wait(tenant: string, tool: string): Promise<GiveBack | undefined> {
    const leave = room.take(tenant, tool);
    if (leave === undefined) return undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<GiveBack | undefined>((resolve) => {
        const waiter = { tenant, tool, take: resolve };
        waiting.add(waiter);
        timer = setTimeout(() => {
          waiting.delete(waiter);
          resolve(undefined);
        }, WAIT_MS);
      });
    } finally {
      clearTimeout(timer);
      leave();
    }
  }

  return {
    /** Where an action's first call is to be made; a place within its workflow's task is kept for it. */
    choose(tenant: string, tool: string, actionId: string): Lane {
      if (kept.has(actionId)) return 'local';
      const giveBack = pace.isQuick(tenant, tool) ? local.take(tenant, tool) : undefined;
      if (giveBack === undefined) return 'queue';
      kept.set(actionId, giveBack);
      return 'local';
    },

    /** A call within a workflow's task is over: what was kept for it is free. */
    leaveLocal(actionId: string): void {
      kept.delete(actionId);
    },

    /** A slot on the queue of calls; undefined where there is none for a while. */
    enter: async (tenant: string, tool: string): Promise<GiveBack | undefined> => {
      const giveBack = queue.take(tenant, tool);
      return giveBack === undefined ? await wait(tenant, tool) : served(giveBack);
    },

    note: pace.note,
  };
}
