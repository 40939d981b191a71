import { sql } from 'kysely';
import { type Abandon, orphaned, type PastAttempt } from '../domain/abandonment.ts';
import type { ActionRecord } from '../domain/action.ts';
import { actionColumns, findAction } from './actions.ts';
import type { Queries } from './database.ts';
import { isKilled } from './kills.ts';
import type { Pools } from './pools.ts';
import { type Settled, settle } from './settlements.ts';

export const createAbandonments = ({ writes }: Pick<Pools, 'writes'>) => ({
  /**
   * Ends a running or waiting action that will not be sent again, as `decide` says by its attempts and its agent's switch. Both rows
   * are locked as by a claim, so that no attempt begins in between. An action that has ended stays as it is.
   */
  abandon: async (tenant: string, actionId: string, decide: Abandon): Promise<Settled> =>
    writes.transact(await writes.ofAction(tenant, actionId), (tx) => abandon(tx, tenant, actionId, decide)),
});

/** {@link createAbandonments}' `abandon`, as part of a transaction. */
export async function abandon(tx: Queries, tenant: string, actionId: string, decide: Abandon): Promise<Settled> {
  const { rows } = await sql<ActionRecord & { killed: boolean; agentEnabled: boolean; runIsOver: boolean }>`
    with action as materialized (
      select ${actionColumns}, a.run_key, a.run_lease_id from actions a where a.tenant = ${tenant} and a.action_id = ${actionId}
        and a.status in ('running', 'waiting_approval') for update
    ), tenant as (
      select ${isKilled(sql`n`, sql`a.tool`)} as killed from tenants n join action a on n.tenant = ${tenant}
    ), agent as materialized (
      select g.is_enabled from agents g join action a on g.tenant = ${tenant} and g.agent_id = a."agentId" for share of g
    )
    select action.*, coalesce((select killed from tenant), false) as killed, coalesce((select is_enabled from agent), true) as "agentEnabled",
           run_lease_id is not null and not exists (
             select 1 from leases l where l.tenant = ${tenant} and l.key = run_key and l.lease_id = run_lease_id
               and l.state = 'held') as "runIsOver"
    from action
  `.execute(tx);
  const [row] = rows;
  if (row === undefined) return { action: await existing(tx, tenant, actionId), settled: false };
  const { killed, agentEnabled, runIsOver, ...action } = row;
  const stoppedBy = killed ? 'killed' : agentEnabled ? undefined : 'agent_disabled';
  const ending = decide({ stoppedBy, runIsOver, attempts: await attemptsOf(tx, actionId) });
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
