import { sql } from 'kysely';
import type { AgentLog, AgentMetrics, AgentStatus, MetricsPeriod } from '../contracts/agent.ts';
import { toUsd } from '../domain/money.ts';
import type { Queries } from './database.ts';
import type { Pools } from './pools.ts';
import { countRunning, type Running } from './running.ts';
import { appendAudit } from './trail.ts';
import { ofAgent } from './turns.ts';

type LogRow = Omit<AgentLog, 'spend_usd'> & { spend_micros: number };
interface MetricsRow {
  total: number;
  blocked: number;
  spent_micros: number;
  top: AgentMetrics['top_tools'] | null;
}
type StatusRow = Omit<AgentStatus, 'disabled_at'> & { disabled_at: Date | null };

/** Who turns an agent's switch, and why. */
export interface Switching {
  readonly actor: string;
  readonly reason: string | null;
}

export const createAgents = ({ switches, reads }: Pick<Pools, 'switches' | 'reads'>) => ({
  /**
   * Disables the agent, known or not: once this has resolved, no claim of its actions succeeds. A repeat keeps the first
   * moment; its reason, if it has one, replaces the earlier.
   */
  disable(tenant: string, agentId: string, { actor, reason }: Switching): Promise<AgentStatus & { running: Running }> {
    const change = sql`
      insert into agents as g (tenant, agent_id, is_enabled, disabled_reason, disabled_at, disabled_by)
      values (${tenant}, ${agentId}, false, ${reason}, clock_timestamp(), ${actor})
      on conflict (tenant, agent_id) do update set is_enabled = false,
        disabled_reason = coalesce(excluded.disabled_reason, case when g.is_enabled then null else g.disabled_reason end),
        disabled_at = case when g.is_enabled then excluded.disabled_at else g.disabled_at end,
        disabled_by = case when g.is_enabled then excluded.disabled_by else g.disabled_by end
      where g.is_enabled or excluded.disabled_reason <> coalesce(g.disabled_reason, '')`;
    return switches.transact(ofAgent(tenant, agentId), async (tx) => {
      const status = await turn(tx, { tenant, agentId, actor, reason, type: 'agent_disabled' }, change);
      return { ...status, running: await countRunning(tx, { tenant, agentId }) };
    });
  },

  /** Enables the agent again; one that was never disabled stays as it is. */
  enable(tenant: string, agentId: string, { actor, reason }: Switching): Promise<AgentStatus> {
    const change = sql`
      update agents set is_enabled = true, disabled_reason = null, disabled_at = null, disabled_by = null
      where tenant = ${tenant} and agent_id = ${agentId} and not is_enabled`;
    return switches.transact(ofAgent(tenant, agentId), (tx) =>
      turn(tx, { tenant, agentId, actor, reason, type: 'agent_enabled' }, change),
    );
  },

  /** What was decided about an agent's calls, the latest first; calls still under way are not decided yet. */
  async logs(tenant: string, agentId: string, limit: number): Promise<AgentLog[]> {
    const { rows } = await sql<LogRow>`
      select floor(extract(epoch from ts))::bigint as ts, agent_id, action_id, tool, allowed, decision, policy_reason,
             policy_version, risk_level, args_hash, spend_micros
      from audit where tenant = ${tenant} and agent_id = ${agentId} and decision is not null and decision <> 'allowed'
      order by audit.ts desc, id desc limit ${limit}
    `.execute(reads);
    return rows.map(({ spend_micros, ...row }) => ({ ...row, spend_usd: toUsd(spend_micros) }));
  },

  /**
   * What an agent did in the 60 minutes, 24 hours or 7 days before now (rolling windows, unlike the fixed ones that limits
   * are counted in). An action belongs to the moment it was ruled on. An unknown agent has zeros.
   */
  async metrics(tenant: string, agentId: string, period: MetricsPeriod): Promise<AgentMetrics> {
    const { rows } = await sql<MetricsRow>`
      with used as (
        select tool, count(*) as count, count(*) filter (where status = 'blocked') as blocked,
               coalesce(sum(spend_micros) filter (where status = 'executed'), 0)::bigint as spent_micros
        from actions
        where tenant = ${tenant} and agent_id = ${agentId} and created_at > now() - ${windows[period]}::interval
        group by tool
      )
      select coalesce(sum(count), 0)::bigint as total, coalesce(sum(blocked), 0)::bigint as blocked,
             coalesce(sum(spent_micros), 0)::bigint as spent_micros,
             (select json_agg(top) from (select tool, count from used order by count desc, tool limit 10) top) as top
      from used
    `.execute(reads);
    const { total = 0, blocked = 0, spent_micros = 0, top } = rows[0] ?? {};
    return {
      agent_id: agentId,
      period,
      total_actions: total,
      blocked_actions: blocked,
      total_spend_usd: toUsd(spent_micros),
      top_tools: top ?? [],
    };
  },
});

const windows = { hour: '1 hour', day: '24 hours', week: '168 hours' } as const;

interface Turn {
  readonly tenant: string;
  readonly agentId: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly type: 'agent_disabled' | 'agent_enabled';
}

/** Changes the switch with its audit line, which is there only if something changed, and reads it under the same lock. */
async function turn(tx: Queries, { reason, ...entry }: Turn, change: ReturnType<typeof sql>): Promise<AgentStatus> {
  const audit = { ...entry, ...(reason !== null && { detail: { reason } }) };
  await sql`
    with changed as (${change} returning 1) ${appendAudit([audit], sql`exists (select 1 from changed)`)}
  `.execute(tx);
  return await statusOf(tx, entry.tenant, entry.agentId);
}

async function statusOf(tx: Queries, tenant: string, agentId: string): Promise<AgentStatus> {
  const { rows } = await sql<StatusRow>`
    select agent_id, is_enabled, disabled_reason, disabled_at from agents
    where tenant = ${tenant} and agent_id = ${agentId}
  `.execute(tx);
  const [row] = rows;
  if (row === undefined) return { agent_id: agentId, is_enabled: true, disabled_reason: null, disabled_at: null };
  return { ...row, disabled_at: row.disabled_at?.toISOString() ?? null };
}
