import type { Transaction } from 'kysely';
import { LRUCache } from 'lru-cache';
import { type Database, repeated, transact } from './database.ts';
import type { Schema } from './schema.ts';
import { ofAgent, type Turn, type Turns } from './turns.ts';

/** Actions whose agents are remembered: they are mostly admitted, called and settled in one process. */
const MAX_ACTIONS = 20_000;

/** What locks rows: on connections of its own, each write in the turn of whoever's rows it locks. */
export interface Writes {
  /** A transaction, repeated where it lost to another. It asks for no other turn. */
  transact<T>(turn: Turn, work: (tx: Transaction<Schema>) => Promise<T>): Promise<T>;
  /** Statements that are each a transaction of their own, repeated where one lost to another. */
  run<T>(turn: Turn, work: (db: Database) => Promise<T>): Promise<T>;
  /** The turn of an action: that of its agent. */
  ofAction(tenant: string, actionId: string): Promise<Turn>;
  /** Spares whoever asks for the turn of this action the look at its row. */
  note(actionId: string, agentId: string): void;
}

export interface WritesDeps {
  /** Has a connection for every place. */
  readonly db: Database;
  readonly reads: Database;
  readonly turns: Turns;
}

export function createWrites({ db, reads, turns }: WritesDeps): Writes {
  const agents = new LRUCache<string, string>({ max: MAX_ACTIONS });
  return {
    transact: (turn, work) => turns.within(turn, () => transact(db, work)),

    run: (turn, work) => turns.within(turn, () => repeated(() => work(db))),

    async ofAction(tenant, actionId) {
      const known = agents.get(actionId);
      if (known !== undefined) return ofAgent(tenant, known);
      const row = await reads
        .selectFrom('actions')
        .select('agent_id')
        .where('tenant', '=', tenant)
        .where('action_id', '=', actionId)
        .executeTakeFirst();
      if (row === undefined) return { tenant, name: `action/${actionId}` };
      agents.set(actionId, row.agent_id);
      return ofAgent(tenant, row.agent_id);
    },

    note: (actionId, agentId) => void agents.set(actionId, agentId),
  };
}
