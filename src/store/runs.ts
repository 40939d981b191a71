import { sql } from 'kysely';
import type { EventRequest, RunEvent, RunList, RunTimeline } from '../contracts/run.ts';
import type { Database } from './database.ts';

export interface Page {
  readonly limit: number;
  readonly offset: number;
}

type EventRow = Omit<RunEvent, 'id' | 'ts'> & { id: number; ts: Date };

const seconds = (moment: Date): number => moment.getTime() / 1000;
const escapeLike = (text: string): string => text.replace(/[\\%_]/g, '\\$&');

export const createRuns = (db: Database) => ({
  /** Appends one event of the caller's own, and answers its id. */
  async append(tenant: string, event: EventRequest): Promise<string> {
    const { data, ts } = event;
    const { rows } = await sql<{ id: number }>`
      with event as (
        insert into events (tenant, run_id, ts, type, status, duration_ms, step, tool, req_id, lease_id, agent_id, message, data)
        values (${tenant}, ${event.run_id}, coalesce(to_timestamp(${ts ?? null}::float8), clock_timestamp()), ${event.type},
                ${event.status ?? null}, ${event.duration_ms ?? null}, ${event.step ?? null}, ${event.tool ?? null},
                ${event.req_id ?? null}, ${event.lease_id ?? null}, ${event.agent_id ?? null}, ${event.message ?? null},
                ${data === undefined ? null : JSON.stringify(data)})
        returning id, ts, type, status
      ), run as (
        insert into runs as r (tenant, run_id, last_ts, last_type, last_status, events_count)
        select ${tenant}, ${event.run_id}, ts, type, status, 1 from event
        on conflict (tenant, run_id) do update set last_ts = excluded.last_ts, last_type = excluded.last_type,
          last_status = excluded.last_status, events_count = r.events_count + 1
      )
      select id from event
    `.execute(db);
    return `evt_${rows[0]?.id}`;
  },

  /** Runs whose id begins with `prefix`, the latest first. */
  async list(tenant: string, prefix: string, page: Page): Promise<RunList> {
    const like = `${escapeLike(prefix)}%`;
    const [{ rows }, counted] = await Promise.all([
      sql<{ run_id: string; last_ts: Date; last_type: string; last_status: string | null; events_count: number }>`
        select run_id, last_ts, last_type, last_status, events_count from runs
        where tenant = ${tenant} and run_id like ${like}
        order by last_ts desc, run_id limit ${page.limit} offset ${page.offset}
      `.execute(db),
      sql<{
        total: number;
      }>`select count(*) as total from runs where tenant = ${tenant} and run_id like ${like}`.execute(db),
    ]);
    return {
      total: counted.rows[0]?.total ?? 0,
      items: rows.map((row) => ({ ...row, last_ts: seconds(row.last_ts) })),
    };
  },

  /** A run's events in the order they were written, or none if the run is unknown. */
  async timeline(tenant: string, runId: string, page: Page): Promise<RunTimeline | undefined> {
    const [{ rows }, counted] = await Promise.all([
      sql<EventRow>`
        select id, run_id, ts, type, status, duration_ms, step, tool, req_id, lease_id, agent_id, message, data
        from events where tenant = ${tenant} and run_id = ${runId}
        order by id limit ${page.limit} offset ${page.offset}
      `.execute(db),
      sql<{ total: number }>`
        select events_count as total from runs where tenant = ${tenant} and run_id = ${runId}
      `.execute(db),
    ]);
    const total = counted.rows[0]?.total;
    if (total === undefined) return undefined;
    return { run_id: runId, total, events: rows.map((row) => ({ ...row, id: `evt_${row.id}`, ts: seconds(row.ts) })) };
  },
});
