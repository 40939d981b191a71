import { sql } from 'kysely';
import type { Database } from './database.ts';

/** A call whose caller was told that it is accepted, before anything was decided about it. */
export interface AcceptedAction {
  readonly actionId: string;
  readonly workflowId: string;
  readonly agentId: string;
  readonly tool: string;
  readonly argsHash: string;
  readonly runId: string;
  readonly acceptedAt: Date;
  /** The action whose outcome it was answered with, where it was made before. */
  readonly answeredBy: string | null;
  /** Why it came to nothing. */
  readonly refused: string | null;
}

/** A promise as it is made. */
export type NewAccepted = Omit<AcceptedAction, 'acceptedAt' | 'answeredBy' | 'refused'>;

/** Keeps what came of a call that has no action of its own, for who was told its id; part of the statement that rules on it. */
export const answerAccepted = (
  tenant: string,
  { actionId, workflowId, agentId, tool, argsHash, runId }: NewAccepted,
  { answeredBy = null, refused = null }: { answeredBy?: string | null; refused?: string | null },
) => sql`
  insert into accepted_actions (action_id, tenant, workflow_id, agent_id, tool, args_hash, run_id, answered_by, refused)
  values (${actionId}, ${tenant}, ${workflowId}, ${agentId}, ${tool}, ${argsHash}, ${runId}, ${answeredBy}, ${refused})
  on conflict (action_id) do update set answered_by = excluded.answered_by, refused = excluded.refused`;

/** What is forgotten at a time: the next round goes on. */
const TIDIED_AT_ONCE = 10_000;
/** How long such a promise is kept where no action has come of it. */
const KEPT_DAYS = 7;

export const createAccepted = (db: Database) => ({
  /** Keeps that a call was accepted, unless it has its row already: whoever asks for it by its id finds it. */
  async note(tenant: string, action: NewAccepted): Promise<void> {
    await sql`
      insert into accepted_actions (action_id, tenant, workflow_id, agent_id, tool, args_hash, run_id)
      select ${action.actionId}, ${tenant}, ${action.workflowId}, ${action.agentId}, ${action.tool}, ${action.argsHash},
             ${action.runId}
      where not exists (select 1 from actions where action_id = ${action.actionId})
      on conflict do nothing
    `.execute(db);
  },

  async find(tenant: string, actionId: string): Promise<AcceptedAction | undefined> {
    const { rows } = await sql<AcceptedAction>`
      select action_id as "actionId", workflow_id as "workflowId", agent_id as "agentId", tool, args_hash as "argsHash",
             run_id as "runId", accepted_at as "acceptedAt", answered_by as "answeredBy", refused
      from accepted_actions where tenant = ${tenant} and action_id = ${actionId}
    `.execute(db);
    return rows[0];
  },

  /** Forgets a call that was ended before anything was decided about it. */
  async forget(actionId: string): Promise<void> {
    await sql`delete from accepted_actions where action_id = ${actionId}`.execute(db);
  },

  /** Forgets those that have their rows by now, and those of which nothing came. */
  async tidy(): Promise<void> {
    await sql`
      delete from accepted_actions where action_id in (
        select action_id from accepted_actions p
        where accepted_at < clock_timestamp() - make_interval(days => ${sql.lit(KEPT_DAYS)})
          or exists (select 1 from actions a where a.action_id = p.action_id)
        limit ${sql.lit(TIDIED_AT_ONCE)})
    `.execute(db);
  },
});
