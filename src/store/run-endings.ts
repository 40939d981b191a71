import { sql } from 'kysely';
import type { ActionAnswer } from '../contracts/action.ts';
import type { RunStep } from '../contracts/agent-run.ts';
import type { LeaseEnding } from '../contracts/lease.ts';
import { type ActionRecord, answerOf, asRepeat } from '../domain/action.ts';
import { actionColumns } from './actions.ts';
import type { Queries } from './database.ts';
import { finish, type Held, type LeaseChange, type RunTimeline, renew, timelineOf } from './leases.ts';
import type { Pools } from './pools.ts';
import { tell } from './trail.ts';
import { ofLease } from './turns.ts';

/** A run that has come to its end. */
export interface FinishedRun {
  readonly tenant: string;
  readonly held: Held;
  readonly run: RunTimeline;
  readonly workflowRunId: string;
}

/** An action of a run that has left, at its place, counted from 1. */
export interface MadeAction {
  readonly n: number;
  readonly actionId: string;
  readonly status: 'executed' | 'in_doubt';
  readonly agentId: string;
  readonly tool: string;
  readonly argsHash: string;
}

const statuses = { completed: 'ok', failed: 'error', canceled: 'canceled' } as const;

export const createRunEndings = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /** What became of the actions that a run has made, in their order. */
  async answers(tenant: string, steps: readonly RunStep[]): Promise<ActionAnswer[]> {
    const { rows } = await sql<ActionRecord>`
      select ${actionColumns}, step.n from json_array_elements_text(
        ${JSON.stringify(steps.map(({ actionId }) => actionId))}::json) with ordinality as step(action_id, n)
      join actions a on a.tenant = ${tenant} and a.action_id = step.action_id
      order by step.n
    `.execute(reads);
    return rows.map((row, n) => (steps[n]?.repeat ? asRepeat(answerOf(row)) : answerOf(row)));
  },

  /**
   * What the undertaking has made so far that began with this fence, by the places of its actions: the run's own record, which
   * outlives the memory of their keys. One that was made and one that is in doubt are both in it.
   */
  async made(tenant: string, key: string, begunFence: number): Promise<MadeAction[]> {
    const { rows } = await sql<MadeAction>`
      select distinct on (run_n) run_n as n, action_id as "actionId", status, agent_id as "agentId", tool, args_hash as "argsHash"
      from actions where tenant = ${tenant} and run_key = ${key} and run_fence >= ${begunFence}
        and status in ('executed', 'in_doubt')
      order by run_n, status = 'executed' desc, run_fence desc
    `.execute(reads);
    return rows;
  },

  /** The latest row under the ID of an action of a run, with the lease it was made under; blocked and failed ones too. */
  async latest(
    tenant: string,
    workflowId: string,
  ): Promise<{ action: ActionRecord; leaseId: string | null } | undefined> {
    const { rows } = await sql<ActionRecord & { leaseId: string | null }>`
      select ${actionColumns}, a.run_lease_id as "leaseId" from actions a
      where a.tenant = ${tenant} and a.workflow_id = ${workflowId} and a.run_key is not null order by a.created_at desc, a.action_id desc limit 1
    `.execute(reads);
    const [row] = rows;
    if (row === undefined) return undefined;
    const { leaseId, ...action } = row;
    return { action, leaseId };
  },

  /**
   * Ends a run's lease and its timeline together, once: where the lease was ended by its holder or taken over, only the
   * timeline is. Asked again for the same run, it changes nothing.
   */
  finish: ({ tenant, held, run, workflowRunId }: FinishedRun, ending: LeaseEnding): Promise<LeaseChange> =>
    writes.transact(ofLease(tenant, held.key), async (tx) => {
      await sql`select pg_advisory_xact_lock(hashtextextended(${`run/${workflowRunId}`}, 0))`.execute(tx);
      // Its time may have passed while no worker was there: as long as nobody took the key, it is still this run's.
      await renew(tx, tenant, held.key, held.leaseId);
      const change = await finish(tx, tenant, held, ending);
      if (!(await isFinished(tx, tenant, run.runId, workflowRunId))) {
        const status = change.kind === 'changed' ? statuses[ending.state] : 'canceled';
        const message = ending.state === 'failed' ? { message: ending.errorCode } : {};
        await tell(tx, timelineOf({ tenant, workflowRunId }, run), { type: 'run_finished', status, ...message });
      }
      return change;
    }),
});

/** By the server's own word: what callers wrote has a fingerprint. */
async function isFinished(tx: Queries, tenant: string, runId: string, workflowRunId: string): Promise<boolean> {
  const { rows } = await sql`
    select 1 from events
    where tenant = ${tenant} and run_id = ${runId} and type = 'run_finished' and req_id = ${workflowRunId}
      and fingerprint is null
  `.execute(tx);
  return rows.length > 0;
}
