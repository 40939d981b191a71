import { sql } from 'kysely';
import type { DayMetrics, DayRange } from '../contracts/usage.ts';
import { type Counts, meters, sum, type UsageKind, usageKinds } from '../domain/usage.ts';
import { type Database, type Queries, repeated } from './database.ts';

export interface Counted {
  readonly tenant: string;
  readonly kind: UsageKind;
  readonly count: number;
}

const today = sql`(now() at time zone 'utc')::date`;

/**
 * Adds to today's counters: rows that are only inserted, as one INSERT that fits into a WITH clause. Whoever holds money or a
 * lease never waits for a counter; {@link createFolding} adds them up.
 */
export const addUsage = (counted: readonly Counted[], condition = sql`true`) => sql`
  insert into usage_increments (tenant, kind, day, count)
  select tenant, kind, ${today}, count
  from json_to_recordset(${JSON.stringify(counted)}::json) as counted(tenant text, kind text, count bigint)
  where ${condition}`;

/** The same for one more of a kind, beside the change that it counts. */
export const addOne = (tenant: string, kind: UsageKind, condition = sql`true`) =>
  addUsage([{ tenant, kind, count: 1 }], condition);

/** Rows that one folding takes at the most. */
const FOLDED_AT_ONCE = 10_000;

/** Adds the increments up into the days; several processes may, each takes what no other has taken. */
export const createFolding = (db: Database) => async (): Promise<void> => {
  await repeated(() =>
    sql`
      with taken as (
        delete from usage_increments where ctid = any (array(
          select ctid from usage_increments limit ${sql.lit(FOLDED_AT_ONCE)} for update skip locked))
        returning tenant, kind, day, count
      )
      insert into usage_days as u (tenant, kind, day, shard, count)
      select tenant, kind, day, 0, sum(count)::bigint from taken group by tenant, kind, day order by tenant, kind, day
      on conflict (tenant, kind, day, shard) do update set count = u.count + excluded.count
    `.execute(db),
  );
};

/** What was counted, folded or not. */
const counters = sql`(
  select tenant, kind, day, count from usage_days union all select tenant, kind, day, count from usage_increments) as counters`;

/** Lists travel as JSON: statements keep one text, whatever they ask for. */
const oneOf = (kinds: readonly UsageKind[]) =>
  sql`any (array(select json_array_elements_text(${JSON.stringify(kinds)}::json)))`;

export const createUsage = (db: Queries) => ({
  /** Leases and governed calls of this UTC month that count against the plan. */
  async aiThisMonth(tenant: string): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      select coalesce(sum(count), 0)::bigint as count from ${counters}
      where tenant = ${tenant} and kind = ${oneOf(meters.ai.charged)}
        and day between date_trunc('month', ${today})::date and ${today}
    `.execute(db);
    return rows[0]?.count ?? 0;
  },

  /** The UTC month it is, as `YYYY-MM`, with every counter of it. */
  async thisMonth(tenant: string): Promise<{ month: string; counts: Counts }> {
    const { rows } = await sql<{ month: string; counts: Counts | null }>`
      select to_char(${today}, 'YYYY-MM') as month, (
        select json_object_agg(kind, count) from (
          select kind, sum(count)::bigint as count from ${counters}
          where tenant = ${tenant} and kind = ${oneOf(usageKinds)}
            and day between date_trunc('month', ${today})::date and ${today} group by kind) counted) as counts
    `.execute(db);
    return { month: rows[0]?.month ?? '', counts: rows[0]?.counts ?? {} };
  },

  /** Every counter of a tenant since it exists. */
  async allTime(tenant: string): Promise<Counts> {
    const { rows } = await sql<{ kind: UsageKind; count: number }>`
      select kind, sum(count)::bigint as count from ${counters} where tenant = ${tenant} group by kind
    `.execute(db);
    return Object.fromEntries(rows.map((row) => [row.kind, row.count]));
  },

  /** Every day of the range, those without any request too. */
  async days(tenant: string, { from_day, to_day }: DayRange): Promise<DayMetrics[]> {
    const { rows } = await sql<{ day: string; counts: Counts | null }>`
      select d.day::date as day, counted.counts from generate_series(${from_day}::date, ${to_day}::date, '1 day') d(day)
      left join (
        select day, json_object_agg(kind, count) as counts from (
          select day, kind, sum(count)::bigint as count from ${counters}
          where tenant = ${tenant} and kind = ${oneOf(usageKinds)} and day between ${from_day}::date and ${to_day}::date
          group by day, kind) u
        group by day) counted on counted.day = d.day::date
      order by d.day
    `.execute(db);
    return rows.map(({ day, counts }) => toMetrics(day, counts ?? {}));
  },
});

const toMetrics = (day: string, counts: Counts): DayMetrics => ({
  day,
  checks_total: sum(counts, meters.make.requests),
  locks_created: sum(counts, ['locks_created']),
  duplicates_blocked: sum(counts, ['duplicates']),
  rate_limited: sum(counts, ['rate_limited']),
  ai_acquired: sum(counts, ['ai_acquired']),
  ai_completed: sum(counts, ['ai_completed']),
  ai_failed: sum(counts, ['ai_failed']),
});
