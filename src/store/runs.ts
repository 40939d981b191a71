import { sql } from 'kysely';
import type { NewEvent, RunEvent, RunList, RunTimeline } from '../contracts/run.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import type { Queries } from './database.ts';
import { all, ofAgents, shown, shownText } from './pages.ts';
import type { Pools } from './pools.ts';
import { ofRun } from './turns.ts';

export interface Page {
  readonly limit: number;
  readonly offset: number;
}

/** What of an event may be large. */
const large = [sql`message`, sql`data`];

type EventRow = Omit<RunEvent, 'ts'> & { ts: Date };

const seconds = (moment: Date): number => Math.floor(moment.getTime() / 1000);
const escapeLike = (text: string): string => text.replace(/[\\%_]/g, '\\$&');

export type AppendedEvent =
  | { readonly kind: 'appended'; readonly id: number }
  | { readonly kind: 'idempotency_mismatch' };

/** Who appends an event, and what they say it is known by. */
export interface Appending {
  readonly actor: string;
  readonly idempotencyKey: string | undefined;
}

/** What a repeat of the event is recognised by, and for how many seconds if not for as long as it is kept. */
function identityOf(event: NewEvent, print: string, { actor, idempotencyKey }: Appending) {
  if (idempotencyKey !== undefined) return { identity: `key:${idempotencyKey}` };
  if (event.ts !== undefined) return { identity: `event:${print}` };
  return { identity: `sent:${actor}:${print}`, seconds: REPEATED_SECONDS };
}

/** For so long an equal event without its own `ts` is the same one, sent again. */
const REPEATED_SECONDS = 60;

/** Gives up what an equal event is known by that is older than that: the next one is another. */
const letGo = (tx: Queries, tenant: string, identity: string, seconds: number) =>
  sql`
  update events set identity = null
  where tenant = ${tenant} and identity = ${identity} and ts < clock_timestamp() - make_interval(secs => ${seconds})`.execute(
    tx,
  );

/** The event whose place a repeat would have taken. */
async function earlier(db: Queries, tenant: string, identity: string, print: string): Promise<AppendedEvent> {
  const { rows } = await sql<{ id: number; fingerprint: string }>`
    select id, fingerprint from events where tenant = ${tenant} and identity = ${identity}
  `.execute(db);
  const [found] = rows;
  return found?.fingerprint === print ? { kind: 'appended', id: found.id } : { kind: 'idempotency_mismatch' };
}

/** Of a run `r`: something in it is of one of these agents. */
const eventOf = (agents: readonly string[]) => sql`exists (
  select 1 from events e where e.tenant = r.tenant and e.run_id = r.run_id and e.agent_id = any (${sql.val(agents)}::text[]))`;

export const createRuns = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /**
   * Appends one event of the caller's own, once: the same `idempotencyKey`, or without one an equal event that says its
   * own `ts`, names the event that is there. With neither it is an equal one of the same actor within a minute.
   */
  async append(tenant: string, event: NewEvent, appending: Appending): Promise<AppendedEvent> {
    const { data, ts } = event;
    const print = fingerprint(JSON.parse(JSON.stringify(event)));
    const { identity, seconds: known } = identityOf(event, print, appending);
    const { rows } = await writes.transact(ofRun(tenant, event.run_id), async (tx) => {
      if (known !== undefined) await letGo(tx, tenant, identity, known);
      return await sql<{ id: number }>`
      with event as (
        insert into events (tenant, run_id, ts, type, status, duration_ms, step, tool, req_id, lease_id, agent_id, message, data,
                            identity, fingerprint)
        values (${tenant}, ${event.run_id}, coalesce(to_timestamp(${ts ?? null}::float8), clock_timestamp()), ${event.type},
                ${event.status ?? null}, ${event.duration_ms ?? null}, ${event.step ?? null}, ${event.tool ?? null},
                ${event.req_id ?? null}, ${event.lease_id ?? null}, ${event.agent_id ?? null}, ${event.message ?? null},
                ${data === undefined ? null : JSON.stringify(data)}, ${identity}, ${print})
        on conflict (tenant, identity) where identity is not null do nothing
        returning id, ts, type, status
      ), run as (
        insert into runs as r (tenant, run_id, last_ts, last_type, last_status, events_count)
        select ${tenant}, ${event.run_id}, ts, type, status, 1 from event
        on conflict (tenant, run_id) do update set last_ts = excluded.last_ts, last_type = excluded.last_type,
          last_status = excluded.last_status, events_count = r.events_count + 1
      )
      select id from event
    `.execute(tx);
    });
    const id = rows[0]?.id;
    return id === undefined ? await earlier(reads, tenant, identity, print) : { kind: 'appended', id };
  },

  /** Runs whose id begins with `prefix`, as far as they may be seen, the latest first. */
  async list(tenant: string, agents: readonly string[] | null, prefix: string, page: Page): Promise<RunList> {
    const like = `${escapeLike(prefix)}%`;
    const seen = all([
      sql`r.tenant = ${tenant}`,
      sql`r.run_id like ${like}`,
      agents === null ? undefined : eventOf(agents),
    ]);
    const [{ rows }, counted] = await Promise.all([
      sql<{ run_id: string; last_ts: Date; last_type: string; last_status: string | null; events_count: number }>`
        select run_id, last_ts, last_type, last_status, events_count from runs r where ${seen}
        order by last_ts desc, run_id limit ${page.limit} offset ${page.offset}
      `.execute(reads),
      sql<{
        total: number;
      }>`select count(*) as total from runs r where ${seen}`.execute(reads),
    ]);
    return {
      total: counted.rows[0]?.total ?? 0,
      items: rows.map((row) => ({ ...row, last_ts: seconds(row.last_ts) })),
    };
  },

  /** A run's events that may be seen, in the order they were written, or none if the run is unknown. */
  async timeline(
    tenant: string,
    agents: readonly string[] | null,
    runId: string,
    page: Page,
  ): Promise<RunTimeline | undefined> {
    const seen = all([sql`tenant = ${tenant}`, sql`run_id = ${runId}`, ofAgents(sql`agent_id`, agents)]);
    const [{ rows }, counted] = await Promise.all([
      sql<EventRow>`
        with page as (
          select id, run_id, ts, type, status, duration_ms, step, tool, req_id, lease_id, agent_id, message, data
          from events where ${seen}
          order by id limit ${page.limit} offset ${page.offset}
        )
        select id, run_id, ts, type, status, duration_ms, step, tool, req_id, lease_id, agent_id,
               ${shownText(sql`message`, sql`id`, large)} as message, ${shown(sql`data`, sql`id`, large)} as data
        from page order by id
      `.execute(reads),
      // Who sees all of it is told by the run's own line; who does not, by what can be seen.
      agents === null
        ? sql<{ total: number }>`
            select events_count as total from runs where tenant = ${tenant} and run_id = ${runId}
          `.execute(reads)
        : sql<{ total: number }>`select count(*) as total from events where ${seen} having count(*) > 0`.execute(reads),
    ]);
    const total = counted.rows[0]?.total;
    if (total === undefined) return undefined;
    return { run_id: runId, total, events: rows.map((row) => ({ ...row, ts: seconds(row.ts) })) };
  },
});
