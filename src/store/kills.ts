import { type RawBuilder, sql } from 'kysely';
import type { KillState } from '../contracts/kill.ts';
import type { Queries } from './database.ts';
import type { Pools } from './pools.ts';
import { countRunning, type Running, type Stopped } from './running.ts';
import { appendAudit } from './trail.ts';
import { ofTenant } from './turns.ts';

/** Whether the row of a tenant says that it is killed, or this tool of it. */
export const isKilled = (tenant: RawBuilder<unknown>, tool: RawBuilder<unknown>) =>
  sql<boolean>`(${tenant}.killed_at is not null or ${tenant}.killed_tools ? ${tool})`;

/** All of a tenant, or one of its tools, by its name in every scope. */
export type Killed = { readonly scope: 'tenant' } | { readonly scope: 'tool'; readonly tool: string };

interface Turn {
  readonly tenant: string;
  readonly killed: Killed;
  readonly actor: string;
  readonly reason: string | null;
}

/** Whose running actions a kill stops. */
export const stoppedBy = (tenant: string, killed: Killed): Stopped =>
  killed.scope === 'tool' ? { tenant, tool: killed.tool } : { tenant };

export interface Kill {
  readonly reason: string | null;
  readonly at: Date;
  /** Who has killed; null where that was before it was kept. */
  readonly by: string | null;
}

interface Row {
  killed_at: Date | null;
  killed_reason: string | null;
  killed_by: string | null;
  killed_tools: Record<string, { at: string; reason: string | null; by?: string | null }>;
}

export const createKills = ({ switches, reads }: Pick<Pools, 'switches' | 'reads'>) => ({
  /**
   * Stops every agent of a tenant, or one tool: once this has resolved, no claim of what it stops succeeds. A repeat keeps the first
   * moment; its reason, if it has one, replaces the earlier. None where the tenant has no such tool: a mistyped name would stop
   * nothing.
   */
  kill: (turn: Turn): Promise<(Kill & { running: Running }) | undefined> =>
    switches.transact(ofTenant(turn.tenant), async (tx) => {
      const { tenant, killed, reason, actor } = turn;
      const before = killOf(await lock(tx, tenant), killed);
      if (before === undefined && killed.scope === 'tool' && !(await hasTool(tx, tenant, killed.tool)))
        return undefined;
      const { at, by } = before ?? { at: await now(tx), by: actor };
      const kill = { at, by, reason: reason ?? before?.reason ?? null };
      if (before === undefined || kill.reason !== before.reason) {
        await write(tx, tenant, killed, kill);
        await note(tx, turn, 'killed');
      }
      return { ...kill, running: await countRunning(tx, stoppedBy(tenant, killed)) };
    }),

  /** Lets go on what was killed; what was not stays as it is. */
  unkill: (turn: Turn): Promise<void> =>
    switches.transact(ofTenant(turn.tenant), async (tx) => {
      if (killOf(await lock(tx, turn.tenant), turn.killed) === undefined) return;
      await write(tx, turn.tenant, turn.killed, undefined);
      await note(tx, turn, 'unkilled');
    }),

  /** What of a tenant is killed. */
  async state(tenant: string): Promise<KillState> {
    const { rows } = await sql<Row>`
      select killed_at, killed_reason, killed_by, killed_tools from tenants where tenant = ${tenant}
    `.execute(reads);
    const [row] = rows;
    const all = row && killOf(row, { scope: 'tenant' });
    const tools = Object.entries(row?.killed_tools ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      tenant: all === undefined ? null : { killed_at: all.at.toISOString(), reason: all.reason },
      tools: tools.map(([tool, { at, reason }]) => ({ tool, killed_at: new Date(at).toISOString(), reason })),
    };
  },
});

/** Claims share this row: whoever holds it so waits for those that are being made, and those to come wait for it. */
async function lock(tx: Queries, tenant: string): Promise<Row> {
  const { rows } = await sql<Row>`
    select killed_at, killed_reason, killed_by, killed_tools from tenants where tenant = ${tenant} for update
  `.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new Error(`tenant ${tenant} is not in the store`);
  return row;
}

function killOf({ killed_at, killed_reason, killed_by, killed_tools }: Row, killed: Killed): Kill | undefined {
  if (killed.scope === 'tenant')
    return killed_at === null ? undefined : { at: killed_at, reason: killed_reason, by: killed_by };
  const tool = Object.hasOwn(killed_tools, killed.tool) ? killed_tools[killed.tool] : undefined;
  return tool && { at: new Date(tool.at), reason: tool.reason, by: tool.by ?? null };
}

async function hasTool(tx: Queries, tenant: string, tool: string): Promise<boolean> {
  const { rows } = await sql`select 1 from tools where tenant = ${tenant} and name = ${tool} limit 1`.execute(tx);
  return rows.length > 0;
}

async function now(tx: Queries): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(tx);
  return rows[0]?.now ?? new Date();
}

async function write(tx: Queries, tenant: string, killed: Killed, kill: Kill | undefined): Promise<void> {
  const change =
    killed.scope === 'tenant'
      ? sql`killed_at = ${kill?.at ?? null}::timestamptz, killed_reason = ${kill?.reason ?? null},
          killed_by = ${kill?.by ?? null}`
      : kill === undefined
        ? sql`killed_tools = killed_tools - ${killed.tool}::text`
        : sql`killed_tools = killed_tools || jsonb_build_object(${killed.tool}::text, ${JSON.stringify(kill)}::jsonb)`;
  await sql`update tenants set ${change} where tenant = ${tenant}`.execute(tx);
}

const note = (tx: Queries, { tenant, killed, actor, reason }: Turn, what: 'killed' | 'unkilled') =>
  appendAudit([
    {
      tenant,
      type: `${killed.scope}_${what}`,
      actor,
      ...(killed.scope === 'tool' && { tool: killed.tool }),
      ...(reason !== null && { detail: { reason } }),
    },
  ]).execute(tx);
