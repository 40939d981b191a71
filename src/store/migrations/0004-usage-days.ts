import { type Kysely, sql } from 'kysely';

/** Counters a day take the place of those a month, which are their sums; what a month has counted so far is its first day's. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table usage_days (
      tenant text not null,
      kind text not null,
      day date not null,
      shard smallint not null,
      count bigint not null,
      primary key (tenant, kind, day, shard)
    ) with (fillfactor = 50)
  `.execute(db);
  await sql`
    insert into usage_days (tenant, kind, day, shard, count) select tenant, kind, month, shard, count from usage_counters
  `.execute(db);
  await sql`drop table usage_counters`.execute(db);
}
