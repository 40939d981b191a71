import { type RawBuilder, sql } from 'kysely';
import type { Action, ActionItem, ActionList } from '../contracts/action.ts';
import { cursorOf, type Position } from '../contracts/page.ts';
import { type ActionRecord, answerOf } from '../domain/action.ts';
import type { Database, Queries } from './database.ts';
import { isKilled } from './kills.ts';
import { all, behind, microsOf, ofAgents } from './pages.ts';

/** The columns of an {@link ActionRecord} but its result, named as its fields; `a` is the table. */
const listedColumns = sql`
  a.action_id as "actionId", a.workflow_id as "workflowId", a.agent_id as "agentId", a.tool, a.tool_scope as "toolScope",
  a.args_hash as "argsHash", a.spend_micros as "spendMicros", a.status, a.policy_reason as "policyReason",
  a.policy_version as "policyVersion", a.risk_level as "riskLevel", a.fence, a.run_id as "runId", a.of_run as "ofRun",
  a.condition, case when a.policy_reason = 'invalid_arguments' then a.error end as "argumentsError", a.actor, a.tool_version as "toolVersion"`;

/** The columns of an {@link ActionRecord}, named as its fields; `a` is the table. */
export const actionColumns = sql`${listedColumns}, a.result`;

/** The latest execution of a key; blocked decisions have no fence and are never remembered. */
export const latestExecution = (tenant: string, workflowId: string | RawBuilder<string>) => sql`
  select ${actionColumns}, coalesce(a.remember_until > now(), false) as remembered from actions a
  where a.tenant = ${tenant} and a.workflow_id = ${workflowId} and a.fence is not null
  order by a.fence desc limit 1`;

export interface Recalled {
  readonly dedupTtl: number | null;
  /** Its agent is disabled, or killed with its tenant or its tool: it hears of that, not of the past. */
  readonly stopped: boolean;
  readonly previous: (ActionRecord & { readonly remembered: boolean }) | undefined;
}

type RecalledRow = Partial<ActionRecord> & {
  remembered: boolean | null;
  dedup_ttl: number | null;
  stopped: boolean;
};
type ListedRow = Omit<ActionRecord, 'result'> & { created_at: Date; done_at: Date | null };
type DetailRow = ListedRow & Pick<ActionRecord, 'result'> & { attempts: Action['attempts'] | null };

/** An action that has not ended, as the reconciler looks at it. */
export interface OpenAction {
  readonly tenant: string;
  readonly actionId: string;
  readonly workflowId: string;
  readonly status: 'running' | 'waiting_approval';
  /** Its agent is disabled, or killed with its tenant or its tool. */
  readonly stopped: boolean;
  readonly ofRun: boolean;
  /** A person has decided on it. */
  readonly decided: boolean;
}

/** Makes the link to an action's workflow. */
export type WorkflowLink = (workflowId: string) => string;

/** Which actions to list; `position` is where the page before ended. */
export interface ActionFilter {
  readonly status: ActionItem['status'] | undefined;
  readonly agentId: string | undefined;
  /** Those that may be seen; null: all. */
  readonly agents: readonly string[] | null;
  readonly position: Position | undefined;
  readonly limit: number;
}

export const createActions = (db: Database) => ({
  /** All that a repeat needs to be answered without a workflow, in one round trip. */
  async recall(tenant: string, call: { workflowId: string; agentId: string; tool: string }): Promise<Recalled> {
    const { rows } = await sql<RecalledRow>`
      select t.dedup_ttl, previous.*,
             not coalesce(g.is_enabled, true) or coalesce(${isKilled(sql`n`, sql`${call.tool}::text`)}, false) as stopped
      from (select 1) as one
      left join tenants n on n.tenant = ${tenant}
      left join agents g on g.tenant = ${tenant} and g.agent_id = ${call.agentId}
      left join lateral (
        select dedup_ttl from tools where tenant = ${tenant} and name = ${call.tool}
          and scope_id in ('global', ${`agent:${call.agentId}`}) order by scope_id = 'global' limit 1
      ) t on true
      left join lateral (${latestExecution(tenant, call.workflowId)}) previous on true
    `.execute(db);
    const [row] = rows;
    return {
      dedupTtl: row?.dedup_ttl ?? null,
      stopped: row?.stopped ?? false,
      previous: isRecord(row) ? { ...row, remembered: row.remembered ?? false } : undefined,
    };
  },

  /** One action of the tenant, as it stands. */
  async find(tenant: string, actionId: string): Promise<ActionRecord | undefined> {
    return await findAction(db, tenant, actionId);
  },

  /** Those of these actions that have rows, each of its own tenant. */
  async findAll(
    asked: ReadonlyArray<{ readonly tenant: string; readonly expecting: string | undefined }>,
  ): Promise<ActionRecord[]> {
    const wanted = asked.map(({ tenant, expecting }) => ({ tenant, id: expecting }));
    const { rows } = await sql<ActionRecord>`
      select ${actionColumns} from json_to_recordset(${JSON.stringify(wanted)}::json) as asked(tenant text, id text)
      join actions a on a.action_id = asked.id and a.tenant = asked.tenant
    `.execute(db);
    return rows;
  },

  /** The latest execution of a workflow ID. */
  async latest(tenant: string, workflowId: string): Promise<Recalled['previous']> {
    const { rows } = await sql<NonNullable<Recalled['previous']>>`${latestExecution(tenant, workflowId)}`.execute(db);
    return rows[0];
  },

  /** Actions that are under way or wait for a person, of all tenants, by their ids, those after `after`. */
  async open(after: string, limit: number): Promise<OpenAction[]> {
    const { rows } = await sql<OpenAction>`
      select a.tenant, a.action_id as "actionId", a.workflow_id as "workflowId", a.status,
             not coalesce(g.is_enabled, true) or coalesce(${isKilled(sql`n`, sql`a.tool`)}, false) as stopped, a.of_run as "ofRun",
             exists (select 1 from approvals p where p.action_id = a.action_id and p.status <> 'pending'
               and p.n = (select max(n) from approvals where action_id = a.action_id)) as decided
      from actions a left join agents g on g.tenant = a.tenant and g.agent_id = a.agent_id
      left join tenants n on n.tenant = a.tenant
      where a.status in ('running', 'waiting_approval') and a.action_id > ${after}
        and a.created_at < clock_timestamp() - interval '10 seconds'
      order by a.action_id limit ${limit}
    `.execute(db);
    return rows;
  },

  /** A page of the tenant's actions, the latest first, by the moment they were ruled on. */
  async list(tenant: string, filter: ActionFilter, link: WorkflowLink): Promise<ActionList> {
    const { status, agentId, agents, position, limit } = filter;
    const conditions = [
      sql`a.tenant = ${tenant}`,
      // As a literal: only then a prepared statement can use the indexes of single statuses.
      status && sql`a.status = ${sql.lit(status)}`,
      agentId === undefined ? undefined : sql`a.agent_id = ${agentId}`,
      ofAgents(sql`a.agent_id`, agents),
      position && behind(sql`a.created_at, a.action_id`, position, sql`${position.id}`),
    ];
    const { rows } = await sql<ListedRow & { micros: number }>`
      select ${listedColumns}, a.created_at, a.done_at, ${microsOf(sql`a.created_at`)} as micros from actions a
      where ${all(conditions)} order by a.created_at desc, a.action_id desc limit ${limit + 1}
    `.execute(db);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      items: page.map((row) => itemOf(row, link)),
      next_cursor: last && rows.length > limit ? cursorOf({ micros: last.micros, id: last.actionId }) : null,
    };
  },

  /** One action with its attempts, as the wire shows it. */
  async detail(tenant: string, actionId: string, link: WorkflowLink): Promise<Action | undefined> {
    const { rows } = await sql<DetailRow>`
      select ${actionColumns}, a.created_at, a.done_at, (
        select json_agg(json_build_object('n', n, 'started_at', started_at, 'ended_at', ended_at, 'outcome', outcome,
                                          'http_status', http_status) order by n)
        from attempts where action_id = a.action_id) as attempts
      from actions a where a.tenant = ${tenant} and a.action_id = ${actionId}
    `.execute(db);
    const [row] = rows;
    if (row === undefined) return undefined;
    return {
      ...itemOf(row, link),
      result: row.result,
      attempts: (row.attempts ?? []).map((attempt) => ({
        ...attempt,
        started_at: iso(attempt.started_at),
        ended_at: attempt.ended_at === null ? null : iso(attempt.ended_at),
      })),
    };
  },

  /** Whether an action was in doubt once: the trail says so. */
  async wasInDoubt(tenant: string, { actionId, agentId }: ActionRecord): Promise<boolean> {
    const { rows } = await sql<{ was: boolean }>`
      select exists (select 1 from audit where tenant = ${tenant} and agent_id = ${agentId}
        and ts >= (select created_at from actions where tenant = ${tenant} and action_id = ${actionId})
        and action_id = ${actionId} and type = 'action_in_doubt') as was
    `.execute(db);
    return rows[0]?.was ?? false;
  },
});

function itemOf(row: ListedRow, link: WorkflowLink): ActionItem {
  const { ok: _ok, allowed: _allowed, result: _result, ...answer } = answerOf({ ...row, result: null });
  return {
    ...answer,
    policy_reason: row.policyReason,
    status: row.status,
    agent_id: row.agentId,
    tool: row.tool,
    tool_version: row.toolVersion,
    args_hash: row.argsHash,
    fence: row.fence,
    temporal_url: link(row.workflowId),
    created_at: row.created_at.toISOString(),
    done_at: row.done_at?.toISOString() ?? null,
  };
}

export async function findAction(db: Queries, tenant: string, actionId: string): Promise<ActionRecord | undefined> {
  const { rows } = await sql<ActionRecord>`
    select ${actionColumns} from actions a where a.tenant = ${tenant} and a.action_id = ${actionId}
  `.execute(db);
  return rows[0];
}

const iso = (moment: string): string => new Date(moment).toISOString();
const isRecord = (row: RecalledRow | undefined): row is RecalledRow & ActionRecord =>
  row?.actionId !== undefined && row.actionId !== null;
