import { type RawBuilder, sql } from 'kysely';
import type { Approval, ApprovalStatus } from '../contracts/approval.ts';
import type { JsonObject } from '../contracts/common.ts';
import { cursorOf, type Position } from '../contracts/page.ts';
import type { ActionRecord } from '../domain/action.ts';
import { denied } from '../domain/approval.ts';
import { toUsd } from '../domain/money.ts';
import { actionColumns } from './actions.ts';
import type { Queries } from './database.ts';
import { all, behindAscending, fits, microsOf, ofAgents } from './pages.ts';
import type { Pools } from './pools.ts';
import { settle } from './settlements.ts';
import { appendAudit } from './trail.ts';
import { ofAgent } from './turns.ts';

interface ApprovalRow extends Omit<Approval, 'requested_at' | 'expires_at' | 'spend_usd'> {
  args: JsonObject;
  spend_micros: number;
  requested_at: Date;
  expires_at: Date;
}

/** A decision on a call that waits. `actor` is who was authenticated; none where it is the clock's. */
export interface ApprovalVerdict {
  readonly status: 'approved' | 'denied' | 'expired';
  readonly actor: string | null;
  readonly claimedActor: string | null;
  readonly reason: string | null;
}

/** The decision that stands, whether it was made here, and the action as it is with it. */
export interface DecidedApproval {
  readonly approval: Approval;
  readonly made: boolean;
  /** Whether the action was ended by this. */
  readonly settled: boolean;
  readonly action: ActionRecord;
}

/** Which approvals to list; `position` is where the page before ended. */
export interface ApprovalFilter {
  readonly status?: ApprovalStatus | undefined;
  /** Those that may be seen; null: all. */
  readonly agents: readonly string[] | null;
  readonly agentId: string | undefined;
  readonly tool?: string | undefined;
  readonly position: Position | undefined;
  readonly limit: number;
}

export interface ApprovalPage {
  readonly items: Approval[];
  readonly nextCursor: string | undefined;
}

// What nobody waits for any more cannot be decided: its time is up, its action has ended otherwise, or its run is over.
const isOpen = sql`(p.status = 'pending' and p.expires_at > clock_timestamp() and a.status = 'waiting_approval' and (
  a.run_lease_id is null or exists (select 1 from leases l where l.tenant = a.tenant and l.key = a.run_key
    and l.lease_id = a.run_lease_id and l.state = 'held')))`;
const columns = sql`p.id, p.action_id, a.agent_id, a.tool, p.tool_version, p.target, p.spend_micros, p.policy_version, p.rule,
  a.args, p.digest, case when p.status = 'pending' and not ${isOpen} then 'expired' else p.status end as status,
  p.requested_at, p.expires_at, p.decided_by, p.claimed_actor, p.reason`;
const standing = {
  pending: isOpen,
  approved: sql`p.status = 'approved'`,
  denied: sql`p.status = 'denied'`,
  superseded: sql`p.status = 'superseded'`,
  expired: sql`(p.status = 'expired' or (p.status = 'pending' and not ${isOpen}))`,
} as const;

/** The latest asking of an action. */
const latestOf = (actionId: string) => sql`p.action_id = ${actionId} and p.n = (
  select max(n) from approvals where action_id = ${actionId})`;

export const createApprovals = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /** A page of approvals: those that wait before the others, each the oldest first. */
  async list(
    tenant: string,
    { status, agentId, agents, tool, position, limit }: ApprovalFilter,
  ): Promise<ApprovalPage> {
    // Its sign tells what has been decided from what waits: one number is the order.
    const place = sql<number>`case when ${isOpen} then 0 else 1 end * 4503599627370496 + ${microsOf(sql`p.requested_at`)} / 1000`;
    const conditions = [
      sql`p.tenant = ${tenant}`,
      status && standing[status],
      agentId === undefined ? undefined : sql`a.agent_id = ${agentId}`,
      ofAgents(sql`a.agent_id`, agents),
      tool === undefined ? undefined : sql`a.tool = ${tool}`,
      position && behindAscending(sql`${place}, p.id`, position),
    ];
    const { rows } = await sql<ApprovalRow & { place: number; rest: boolean }>`
      with page as (
        select ${columns}, ${place} as place from approvals p join actions a on a.action_id = p.action_id
        where ${all(conditions)} order by place, p.id limit ${limit + 1}
      ), weighed as (
        select *, ${fits([sql`args`], sql`place, id`)} as fits, count(*) over () as found from page
      ), kept as (
        select *, row_number() over (order by place, id) as n from weighed where fits
      )
      select *, n < found as rest from kept where n <= ${limit} order by n
    `.execute(reads);
    const last = rows.at(-1);
    return {
      items: rows.map(toWire),
      nextCursor: last?.rest ? cursorOf({ micros: last.place, id: last.id }) : undefined,
    };
  },

  find: (tenant: string, approvalId: string): Promise<Approval | undefined> =>
    read(reads, tenant, sql`p.id = ${approvalId}`),

  /** Decides this very asking, once: a denial ends the action with it, in one transaction. */
  async decide(tenant: string, approvalId: string, verdict: ApprovalVerdict): Promise<DecidedApproval | undefined> {
    const which = sql`p.id = ${approvalId}`;
    const asked = await read(reads, tenant, which);
    if (asked === undefined) return undefined;
    return await writes.transact(ofAgent(tenant, asked.agent_id), (tx) => decide(tx, tenant, which, verdict));
  },

  /** The same for the latest asking of an action. */
  async decideAction(tenant: string, actionId: string, verdict: ApprovalVerdict): Promise<DecidedApproval | undefined> {
    const turn = await writes.ofAction(tenant, actionId);
    return await writes.transact(turn, (tx) => decide(tx, tenant, latestOf(actionId), verdict));
  },

  /** Seconds for which the latest asking still waits; 0 where it does not. */
  async secondsLeft(tenant: string, actionId: string): Promise<number> {
    const { rows } = await sql<{ seconds: number }>`
      select case when ${isOpen} then ceil(extract(epoch from p.expires_at - clock_timestamp()))::integer else 0 end as seconds
      from approvals p join actions a on a.action_id = p.action_id where p.tenant = ${tenant} and ${latestOf(actionId)}
    `.execute(reads);
    return rows[0]?.seconds ?? 0;
  },
});

/** The action is locked first, as by everyone (docs/concepts.md, "Locks"): what is read then cannot change before it is written. */
async function decide(
  tx: Queries,
  tenant: string,
  which: RawBuilder<unknown>,
  verdict: ApprovalVerdict,
): Promise<DecidedApproval | undefined> {
  const { rows } = await sql<ActionRecord>`
    select ${actionColumns} from actions a where a.tenant = ${tenant}
      and a.action_id = (select p.action_id from approvals p where p.tenant = ${tenant} and ${which}) for update
  `.execute(tx);
  const [action] = rows;
  const before = action && (await read(tx, tenant, which));
  if (action === undefined || before === undefined) return undefined;
  // The clock ends what nobody can decide any more, a person what still waits.
  if (before.status !== (verdict.status === 'expired' ? 'expired' : 'pending'))
    return { approval: before, made: false, settled: false, action };
  const status =
    verdict.status === 'approved' && (await isChanged(tx, tenant, action, before)) ? 'superseded' : verdict.status;
  const { actor, claimedActor, reason } = verdict;
  const { rows: changed } = await sql<{ id: string }>`
    update approvals set status = ${status}, decided_by = ${actor}, claimed_actor = ${claimedActor}, reason = ${reason},
      decided_at = clock_timestamp()
    where id = ${before.id} and status = 'pending' returning id
  `.execute(tx);
  const approval = (await read(tx, tenant, sql`p.id = ${before.id}`)) ?? before;
  if (changed.length === 0) return { approval, made: false, settled: false, action };
  await appendAudit([entryOf(tenant, action, { ...verdict, status })]).execute(tx);
  if (status === 'approved' || status === 'superseded') return { approval, made: true, settled: false, action };
  const ending = denied(actor, status === 'expired' ? 'approval_expired' : 'approval_denied');
  const { action: ended, settled } = await settle(tx, tenant, action, ending);
  return { approval, made: true, settled, action: ended };
}

/** Whether the tool is another one than was shown: its address, what is declared of it, its price, or that it is there at all. */
async function isChanged(tx: Queries, tenant: string, { tool, toolScope }: ActionRecord, shown: Approval) {
  const { rows } = await sql<{ version: number }>`
    select version from tools where tenant = ${tenant} and name = ${tool} and scope_id = ${toolScope}
  `.execute(tx);
  return rows[0]?.version !== shown.tool_version;
}

const entryOf = (
  tenant: string,
  action: ActionRecord,
  { status, actor, claimedActor, reason }: Omit<ApprovalVerdict, 'status'> & { status: string },
) => ({
  tenant,
  type: `approval_${status}`,
  actor,
  key: action.workflowId,
  agentId: action.agentId,
  tool: action.tool,
  toolVersion: action.toolVersion,
  actionId: action.actionId,
  argsHash: action.argsHash,
  ...((reason !== null || claimedActor !== null) && {
    detail: { ...(reason !== null && { reason }), ...(claimedActor !== null && { claimed_actor: claimedActor }) },
  }),
});

async function read(db: Queries, tenant: string, which: RawBuilder<unknown>): Promise<Approval | undefined> {
  const { rows } = await sql<ApprovalRow>`
    select ${columns} from approvals p join actions a on a.action_id = p.action_id where p.tenant = ${tenant} and ${which}
  `.execute(db);
  return rows[0] && toWire(rows[0]);
}

/** A row may carry more than is shown. */
const toWire = ({ spend_micros, requested_at, expires_at, ...row }: ApprovalRow): Approval => ({
  id: row.id,
  action_id: row.action_id,
  agent_id: row.agent_id,
  tool: row.tool,
  tool_version: row.tool_version,
  target: row.target,
  spend_usd: toUsd(spend_micros),
  policy_version: row.policy_version,
  rule: row.rule,
  args: row.args,
  digest: row.digest,
  status: row.status,
  requested_at: requested_at.toISOString(),
  expires_at: expires_at.toISOString(),
  decided_by: row.decided_by,
  claimed_actor: row.claimed_actor,
  reason: row.reason,
});
