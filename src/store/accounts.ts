import { sql } from 'kysely';
import type { AgentLog, Me } from '../contracts/account.ts';
import { toUsd } from '../domain/money.ts';
import type { Database } from './database.ts';
import type { Principal } from './keys.ts';
import { createUsage } from './usage.ts';

type LogRow = Omit<AgentLog, 'ts' | 'spend_usd'> & { ts: Date; spend_micros: number };

export const createAccounts = (db: Database) => ({
  /** What the key's owner may know of the account. */
  async me(principal: Principal): Promise<Me> {
    const [tenant, counted] = await Promise.all([
      db
        .selectFrom('tenants')
        .select([
          'plan',
          'email_notifications_enabled',
          'tool_error_notifications_enabled',
          'run_failure_notifications_enabled',
        ])
        .where('tenant', '=', principal.tenant)
        .executeTakeFirstOrThrow(),
      createUsage(db).allTime(principal.tenant),
    ]);
    return {
      ...tenant,
      key_preview: principal.preview,
      email: null,
      is_active: principal.isActive,
      current_period_end: null,
      requests_total_all_time: Object.values(counted).reduce((sum, count) => sum + count, 0),
      blocked_total_all_time: counted.duplicates ?? 0,
    };
  },

  /** What was decided about an agent's calls, the latest first; calls still under way are not decided yet. */
  async logs(tenant: string, agentId: string, limit: number): Promise<AgentLog[]> {
    const { rows } = await sql<LogRow>`
      select ts, agent_id, tool, allowed, decision, policy_reason, policy_version, risk_level, args_hash, spend_micros
      from audit where tenant = ${tenant} and agent_id = ${agentId} and decision is not null and decision <> 'allowed'
      order by id desc limit ${limit}
    `.execute(db);
    return rows.map(({ spend_micros, ts, ...row }) => ({
      ...row,
      ts: ts.toISOString(),
      spend_usd: toUsd(spend_micros),
    }));
  },
});
