import { sql } from 'kysely';
import type { Queries } from './database.ts';

const SHARDS = 16;

/** What is counted, a month and tenant. */
export type UsageKind = 'locks_created' | 'duplicates' | 'ai_acquired' | 'ai_polling' | 'ai_runs' | 'ai_blocked';

export interface Counted {
  readonly tenant: string;
  readonly kind: UsageKind;
  readonly count: number;
}

/** Adds to counters as one upsert that fits into a WITH clause; counters of one call must differ in tenant or kind. */
export const addUsage = (counted: readonly Counted[], condition = sql`true`) => sql`
  insert into usage_counters as u (tenant, month, kind, shard, count)
  select tenant, date_trunc('month', now() at time zone 'utc')::date, kind,
         ${Math.floor(Math.random() * SHARDS)}::smallint, count
  from json_to_recordset(${JSON.stringify(counted)}::json) as counted(tenant text, kind text, count bigint)
  where ${condition}
  order by tenant, kind
  on conflict (tenant, month, kind, shard) do update set count = u.count + excluded.count`;

export const createUsage = (db: Queries) => ({
  /** How many of a kind this UTC month has seen. */
  async thisMonth(tenant: string, kind: UsageKind): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      select coalesce(sum(count), 0)::bigint as count from usage_counters
      where tenant = ${tenant} and kind = ${kind} and month = date_trunc('month', now() at time zone 'utc')::date
    `.execute(db);
    return rows[0]?.count ?? 0;
  },

  /** Every counter of a tenant since it exists. */
  async allTime(tenant: string): Promise<Partial<Record<UsageKind, number>>> {
    const { rows } = await sql<{ kind: UsageKind; count: number }>`
      select kind, sum(count)::bigint as count from usage_counters where tenant = ${tenant} group by kind
    `.execute(db);
    return Object.fromEntries(rows.map((row) => [row.kind, row.count]));
  },
});
