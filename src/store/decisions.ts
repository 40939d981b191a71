import { sql } from 'kysely';
import type { PolicyReason, RiskLevel } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import { Policy } from '../contracts/policy.ts';
import type { Decided } from '../domain/replay.ts';
import { RuledOn } from '../domain/ruled-on.ts';
import type { Database } from './database.ts';
import { fits } from './pages.ts';

/** A decision as it was made and kept. */
export interface DecisionRecord extends Decided {
  readonly actionId: string;
  readonly argsHash: string;
  readonly spendMicros: number;
  readonly status: string;
  readonly policyReason: PolicyReason;
  readonly policyVersion: number | null;
  readonly riskLevel: RiskLevel;
  readonly condition: string | null;
}

interface DecisionRow {
  action_id: string;
  agent_id: string;
  tool: string;
  args: JsonObject;
  args_hash: string;
  spend_micros: number;
  status: string;
  hold: string;
  policy_reason: PolicyReason;
  policy_version: number | null;
  risk_level: RiskLevel;
  condition: string | null;
  ruled_on: unknown;
  created_at: Date;
}

const columns = sql`action_id, agent_id, tool, args, args_hash, spend_micros, status, hold, policy_reason, policy_version,
  risk_level, condition, ruled_on, created_at`;

export const createDecisions = (db: Database) => ({
  /** One decision with the policy it was made by; none where the action is unknown or older than this record. */
  async find(
    tenant: string,
    actionId: string,
  ): Promise<{ decision: DecisionRecord; policy: Policy | null } | undefined> {
    const { rows } = await sql<DecisionRow & { policy: unknown }>`
      select ${columns}, (
        select policy from policies p
        where p.tenant = a.tenant and p.agent_id = a.agent_id and p.version = a.policy_version) as policy
      from actions a where tenant = ${tenant} and action_id = ${actionId} and ruled_on is not null
    `.execute(db);
    const [row] = rows;
    if (row === undefined) return undefined;
    return { decision: toRecord(row), policy: row.policy === null ? null : Policy.parse(row.policy) };
  },

  /**
   * A page of an agent's decisions since the beginning of the UTC day `days` ago, as they were made, those after `after`; it may
   * end early.
   */
  async since(
    tenant: string,
    agentId: string,
    days: number,
    after: string | undefined,
    limit: number,
  ): Promise<{ readonly page: DecisionRecord[]; readonly isLast: boolean }> {
    const begin = sql`date_trunc('day', now() at time zone 'utc') at time zone 'utc' - make_interval(days => ${days}::integer)`;
    const behind =
      after === undefined
        ? sql`true`
        : sql`(created_at, action_id) > (
            select created_at, action_id from actions where tenant = ${tenant} and action_id = ${after})`;
    const { rows } = await sql<DecisionRow & { found: number }>`
      with page as (
        select ${columns} from actions
        where tenant = ${tenant} and agent_id = ${agentId} and created_at >= ${begin} and ruled_on is not null and ${behind}
        order by created_at, action_id limit ${limit}
      ), weighed as (
        select *, ${fits([sql`args`, sql`ruled_on`], sql`created_at, action_id`)} as fits, count(*) over () as found from page
      )
      select * from weighed where fits order by created_at, action_id
    `.execute(db);
    const found = rows[0]?.found ?? 0;
    return { page: rows.map(toRecord), isLast: found < limit && rows.length === found };
  },
});

const toRecord = (row: DecisionRow): DecisionRecord => ({
  actionId: row.action_id,
  agentId: row.agent_id,
  tool: row.tool,
  args: row.args,
  argsHash: row.args_hash,
  spendMicros: row.spend_micros,
  status: row.status,
  // One that was let through held its money, also where the kill switch stopped it later.
  allowed: row.hold !== 'none',
  keepsSpend: row.hold === 'held' || row.hold === 'spent',
  policyReason: row.hold === 'none' ? row.policy_reason : 'ok',
  policyVersion: row.policy_version,
  riskLevel: row.risk_level,
  condition: row.condition,
  ruledOn: RuledOn.parse(row.ruled_on),
  at: row.created_at,
});
