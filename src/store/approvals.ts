import { sql } from 'kysely';
import type { Approval, ApprovalStatus } from '../contracts/approval.ts';
import type { JsonObject } from '../contracts/common.ts';
import type { ActionRecord } from '../domain/action.ts';
import { actionOfApproval, denied } from '../domain/approval.ts';
import { findAction } from './actions.ts';
import type { Database, Queries } from './database.ts';
import { settle } from './settlements.ts';
import { appendAudit } from './trail.ts';

interface ApprovalRow extends Omit<Approval, 'requested_at' | 'expires_at'> {
  args: JsonObject;
  requested_at: Date;
  expires_at: Date;
}

/** A decision on a call that waits; `null` is the clock's, not a person's. */
export interface ApprovalVerdict {
  readonly status: Exclude<ApprovalStatus, 'pending'>;
  readonly actor: string | null;
  readonly reason: string | null;
}

/** The decision that stands, whether it was made here, and the action as it is with it. */
export interface DecidedApproval {
  readonly approval: Approval;
  readonly made: boolean;
  readonly action: ActionRecord;
}

// What nobody waits for any more cannot be decided: its time is up, or its action has ended otherwise.
const isOpen = sql`(p.status = 'pending' and p.expires_at > clock_timestamp() and a.status = 'waiting_approval')`;
const columns = sql`p.id, p.action_id, a.agent_id, a.tool, a.args, p.digest,
  case when p.status = 'pending' and not ${isOpen} then 'expired' else p.status end as status,
  p.requested_at, p.expires_at, p.decided_by, p.reason`;

export const createApprovals = (db: Database) => ({
  /** Approvals, the latest first, at most `limit`. */
  async list(tenant: string, status: ApprovalStatus | undefined, limit: number): Promise<Approval[]> {
    const only = {
      pending: isOpen,
      approved: sql`p.status = 'approved'`,
      denied: sql`p.status = 'denied'`,
      expired: sql`(p.status = 'expired' or (p.status = 'pending' and not ${isOpen}))`,
    } as const;
    const { rows } = await sql<ApprovalRow>`
      select ${columns} from approvals p join actions a on a.action_id = p.action_id
      where p.tenant = ${tenant} and ${status === undefined ? sql`true` : only[status]}
      order by p.requested_at desc, p.id desc limit ${limit}
    `.execute(db);
    return rows.map(toWire);
  },

  find: (tenant: string, approvalId: string): Promise<Approval | undefined> =>
    readByAction(db, tenant, actionOfApproval(approvalId)),

  /**
   * Decides, once: a denial ends the action with it, in one transaction; an approval leaves that to its workflow. None
   * where the action waits for nobody.
   */
  decide: (tenant: string, actionId: string, verdict: ApprovalVerdict): Promise<DecidedApproval | undefined> =>
    db.transaction().execute(async (tx) => {
      const { status, actor, reason } = verdict;
      const { rows } = await sql<{ id: string }>`
        update approvals p set status = ${status}, decided_by = ${actor}, reason = ${reason}, decided_at = clock_timestamp()
        from actions a where a.action_id = p.action_id and p.tenant = ${tenant} and p.action_id = ${actionId}
          and ${status === 'expired' ? sql`p.status = 'pending'` : isOpen} returning p.id
      `.execute(tx);
      const approval = await readByAction(tx, tenant, actionId);
      const action = await findAction(tx, tenant, actionId);
      if (approval === undefined || action === undefined) return undefined;
      if (rows.length === 0) return { approval, made: false, action };
      await appendAudit([entryOf(tenant, action, verdict)]).execute(tx);
      if (status === 'approved') return { approval, made: true, action };
      const ending = denied(actor, status === 'expired' ? 'approval_expired' : 'approval_denied');
      return { approval, made: true, action: (await settle(tx, tenant, action, ending)).action };
    }),
});

const entryOf = (tenant: string, action: ActionRecord, { status, actor, reason }: ApprovalVerdict) => ({
  tenant,
  type: `approval_${status}`,
  actor,
  key: action.workflowId,
  agentId: action.agentId,
  tool: action.tool,
  actionId: action.actionId,
  argsHash: action.argsHash,
  ...(reason !== null && { detail: { reason } }),
});

async function readByAction(db: Queries, tenant: string, actionId: string): Promise<Approval | undefined> {
  const { rows } = await sql<ApprovalRow>`
    select ${columns} from approvals p join actions a on a.action_id = p.action_id
    where p.tenant = ${tenant} and p.action_id = ${actionId}
  `.execute(db);
  return rows[0] && toWire(rows[0]);
}

const toWire = (row: ApprovalRow): Approval => ({
  ...row,
  requested_at: row.requested_at.toISOString(),
  expires_at: row.expires_at.toISOString(),
});
