import { sql } from 'kysely';
import { type Abandon, orphaned, type PastAttempt } from '../domain/abandonment.ts';
import type { ActionRecord } from '../domain/action.ts';
import { actionColumns, findAction } from './actions.ts';
import type { Database, Queries } from './database.ts';
import { type Settled, settle } from './settlements.ts';

export const createAbandonments = (db: Database) => ({
  /**
   * Ends a running or waiting action that will not be sent again, as `decide` says by its attempts and its agent's switch. Both rows
   * are locked as by a claim, so that no attempt begins in between. An action that has ended stays as it is.
   */
  abandon: (tenant: string, actionId: string, decide: Abandon): Promise<Settled> =>
    db.transaction().execute((tx) => abandon(tx, tenant, actionId, decide)),
});

async function abandon(tx: Queries, tenant: string, actionId: string, decide: Abandon): Promise<Settled> {
  const { rows } = await sql<ActionRecord & { agentEnabled: boolean }>`
    select ${actionColumns}, g.is_enabled as "agentEnabled" from actions a
    join agents g on g.tenant = a.tenant and g.agent_id = a.agent_id
    where a.tenant = ${tenant} and a.action_id = ${actionId} and a.status in ('running', 'waiting_approval') for update of a for share of g
  `.execute(tx);
  const [row] = rows;
  if (row === undefined) return { action: await existing(tx, tenant, actionId), settled: false };
  const { agentEnabled, ...action } = row;
  const ending = decide({ agentEnabled, attempts: await attemptsOf(tx, actionId) });
  if (ending === undefined) return { action, settled: false };
  return await settle(tx, tenant, action, ending);
}

/** A statement of its own, after the locks: an attempt that was claimed while they were waited for has to be seen. */
async function attemptsOf(tx: Queries, actionId: string): Promise<PastAttempt[]> {
  const { rows } = await sql<PastAttempt>`
    select ended_at is not null as ended, may_have_acted as "mayHaveActed", error
    from attempts where action_id = ${actionId} order by n
  `.execute(tx);
  return rows;
}

async function existing(tx: Queries, tenant: string, actionId: string): Promise<ActionRecord> {
  const action = await findAction(tx, tenant, actionId);
  if (action === undefined) throw new Error(`action ${actionId} is not in the store`);
  return action;
}

/** Gives up an action that is still marked as running although its workflow is gone. */
export const closeOrphan = (tx: Queries, tenant: string, { actionId }: ActionRecord): Promise<Settled> =>
  abandon(tx, tenant, actionId, orphaned);
