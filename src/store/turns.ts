import { createShares, type GiveBack } from '../domain/shares.ts';

/** Whose rows a write locks: an agent of a tenant, a lease's key, a tool, what there is once of a tenant. */
export interface Turn {
  readonly tenant: string;
  readonly name: string;
}

export const ofAgent = (tenant: string, agentId: string): Turn => ({ tenant, name: `agent/${agentId}` });
export const ofLease = (tenant: string, key: string): Turn => ({ tenant, name: `lease/${key}` });
export const ofTool = (tenant: string, tool: string): Turn => ({ tenant, name: `tool/${tool}` });
export const ofRun = (tenant: string, runId: string): Turn => ({ tenant, name: `run/${runId}` });
/** Whatever changes the tenant's own row. */
export const ofTenant = (tenant: string): Turn => ({ tenant, name: 'tenant' });
/** What Temporal is asked to start (`engine/start.ts`): no row, but a tenant's line all the same. */
export const ofStarts = (tenant: string): Turn => ({ tenant, name: 'starts' });

/** Nothing was begun, and the same again may well succeed: others of the same agent, or of the same tenant, are ahead. */
export class MissedTurn extends Error {
  override name = 'MissedTurn';
}

export interface TurnLimits {
  /** Writes under way at once. */
  readonly places: number;
  /** Of these, writes under way of one agent (lease, tool) at the most. */
  readonly ofOne: number;
  /** How long a write waits while none of its agent (lease, tool) comes to its end, before it is given up. */
  readonly patienceMs: number;
  /** Writes that wait, in all and of one agent (lease, tool), at the most; a tenant has a fair share of them. */
  readonly waiting: number;
  readonly waitingOfOne: number;
}

export type Turns = ReturnType<typeof createTurns>;

interface Waiter {
  readonly take: (place: GiveBack) => void;
}

interface Queue {
  readonly turn: Turn;
  /** In the order in which they came. */
  readonly waiters: Set<Waiter>;
  /** When a write of it was last done, since somebody waits. */
  doneAt: number;
}

/**
 * Has writes wait before they take a connection. Those of one agent queue in the order in which they came, a few of them are under
 * way at once, and agents take turns: where one waits for a row that somebody has locked, only it stands. A tenant's writes have
 * a share of the places that grows and shrinks with what others need (`createShares`). Whoever holds a place asks for no other.
 */
export function createTurns({ places, ofOne, patienceMs, waiting, waitingOfOne }: TurnLimits) {
  const shares = createShares({ slots: places, tenantMax: 0, partMax: ofOne });
  const room = createShares({ slots: waiting, tenantMax: 0, partMax: waitingOfOne });
  /** Who waits, by agent, in the order of the agents' turns. */
  const queues = new Map<string, Queue>();

  /** Nobody waits who could be under way: it is looked at whenever a place is given back, since nothing else makes room. */
  function serve(): void {
    for (const [name, queue] of queues) {
      const [first] = queue.waiters;
      const place = first && shares.take(queue.turn.tenant, queue.turn.name);
      if (first === undefined || place === undefined) continue;
      // To the end, if there are more: it comes by once more in this very round, after all others.
      queues.delete(name);
      queue.waiters.delete(first);
      if (queue.waiters.size > 0) queues.set(name, queue);
      first.take(place);
    }
  }

  async function wait(turn: Turn, until: number): Promise<GiveBack> {
    const leave = room.take(turn.tenant, turn.name);
    if (leave === undefined) throw new MissedTurn('too many writes wait for their turn');
    const name = nameOf(turn);
    const queue: Queue = queues.get(name) ?? { turn, waiters: new Set(), doneAt: 0 };
    const cameAt = performance.now();
    queues.set(name, queue);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<GiveBack>((take, giveUp) => {
        const waiter = { take };
        queue.waiters.add(waiter);
        const look = () => {
          const patience = Math.max(cameAt, queue.doneAt) + patienceMs - performance.now();
          // What is slow is not stuck: as long as those ahead are done, it stays.
          const left = Math.min(patience, until - Date.now());
          if (left > 0) {
            timer = setTimeout(look, Math.ceil(left));
            return;
          }
          queue.waiters.delete(waiter);
          if (queue.waiters.size === 0 && queues.get(name) === queue) queues.delete(name);
          giveUp(new MissedTurn('a write has waited for its turn in vain'));
        };
        timer = setTimeout(look, Math.min(patienceMs, Math.max(0, until - Date.now())));
      });
    } finally {
      clearTimeout(timer);
      leave();
    }
  }

  return {
    /**
     * Does the work when it is its turn, if that comes by `until` (unix milliseconds).
     *
     * @throws {MissedTurn} when that does not come in time, or too many wait already: then nothing was done.
     */
    async within<T>(turn: Turn, work: () => Promise<T>, until = Number.POSITIVE_INFINITY): Promise<T> {
      // Nobody overtakes who waits for the same.
      const isAhead = !queues.has(nameOf(turn));
      const place = (isAhead ? shares.take(turn.tenant, turn.name) : undefined) ?? (await wait(turn, until));
      try {
        const done = await work();
        const behind = queues.get(nameOf(turn));
        if (behind !== undefined) behind.doneAt = performance.now();
        return done;
      } finally {
        place();
        serve();
      }
    },
    /** Writes under way. */
    underWay: () => shares.taken(),
  };
}

const nameOf = ({ tenant, name }: Turn): string => JSON.stringify([tenant, name]);
