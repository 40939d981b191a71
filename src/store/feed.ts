import { sql } from 'kysely';
import type { JsonObject } from '../contracts/common.ts';
import type { FeedEvent } from '../contracts/run.ts';
import type { Database } from './database.ts';
import { all, ofAgents, shown } from './pages.ts';
import type { Page } from './runs.ts';

interface Row {
  ts: number;
  type: string;
  key: string | null;
  agent_id: string | null;
  tool: string | null;
  policy_version: number | null;
  detail: JsonObject | null;
}

/** A lease is charged once, when it is acquired; the other lines of leases are free. */
const chargeOf = ({ type }: Row): Pick<FeedEvent, 'charged'> =>
  type.startsWith('ai_') ? { charged: type === 'ai_acquired' ? 1 : 0 } : {};

const toWire = (row: Row): FeedEvent => ({
  ts: row.ts,
  type: row.type,
  ...chargeOf(row),
  ...(row.key !== null && { key: row.key }),
  ...(row.agent_id !== null && { agent_id: row.agent_id }),
  ...(row.tool !== null && { tool: row.tool }),
  ...(row.policy_version !== null && { version: row.policy_version }),
  ...(row.detail !== null && { data: row.detail }),
});

export const createFeed = (db: Database) => ({
  /** What happened to the tenant besides governed calls, as far as it may be seen, the latest first. */
  async list(tenant: string, agents: readonly string[] | null, { limit, offset }: Page): Promise<FeedEvent[]> {
    const { rows } = await sql<Row>`
      with page as (
        select id, ts, type, key, agent_id, tool, policy_version, detail from audit
        where ${all([sql`tenant = ${tenant}`, sql`action_id is null`, ofAgents(sql`agent_id`, agents)])} order by ts desc, id desc limit ${limit} offset ${offset}
      )
      select floor(extract(epoch from page.ts))::bigint as ts, type, key, agent_id, tool, policy_version,
             ${shown(sql`detail`, sql`page.ts desc, id desc`)} as detail
      from page order by page.ts desc, id desc
    `.execute(db);
    return rows.map(toWire);
  },
});
