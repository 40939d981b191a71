import { sql } from 'kysely';
import type { Database, Queries } from './database.ts';
import { all } from './pages.ts';

/** Whose actions a switch stops: all of a tenant, one agent's, or those of one tool. */
export interface Stopped {
  readonly tenant: string;
  readonly agentId?: string;
  readonly tool?: string;
}

/** An action that has not ended; `underWay`: an attempt of it is out and has not ended. */
export interface RunningAction {
  readonly actionId: string;
  readonly workflowId: string;
  readonly underWay: boolean;
}

/** Actions that have not ended: those that wait, and those with an attempt that is out. */
export interface Running {
  readonly waiting: number;
  readonly inFlight: number;
}

const underWay = sql<boolean>`exists (select 1 from attempts t where t.action_id = a.action_id and t.ended_at is null)`;

const of = ({ tenant, agentId, tool }: Stopped) =>
  all([
    sql`a.tenant = ${tenant}`,
    sql`a.status in ('running', 'waiting_approval')`,
    agentId === undefined ? undefined : sql`a.agent_id = ${agentId}`,
    tool === undefined ? undefined : sql`a.tool = ${tool}`,
  ]);

export const createRunning = (db: Database) => ({
  /** At most `limit` actions that run or wait for a person, by their ids, those after `after`. */
  async page(stopped: Stopped, after: string, limit: number): Promise<RunningAction[]> {
    const { rows } = await sql<RunningAction>`
      select a.action_id as "actionId", a.workflow_id as "workflowId", ${underWay} as "underWay"
      from actions a where ${of(stopped)} and a.action_id > ${after}
      order by a.action_id limit ${limit}
    `.execute(db);
    return rows;
  },
});

export async function countRunning(tx: Queries, stopped: Stopped): Promise<Running> {
  const { rows } = await sql<Running>`
    select count(*) filter (where not under_way) as waiting, count(*) filter (where under_way) as "inFlight"
    from (select ${underWay} as under_way from actions a where ${of(stopped)}) open
  `.execute(tx);
  return rows[0] ?? { waiting: 0, inFlight: 0 };
}
