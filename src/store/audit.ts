import { sql } from 'kysely';
import type { AuditItem, AuditList, AuditQuery } from '../contracts/audit.ts';
import { cursorOf, type Position } from '../contracts/page.ts';
import { toUsd } from '../domain/money.ts';
import type { Database } from './database.ts';
import { all, behind, fits, microsOf, momentAt, ofAgents } from './pages.ts';

/** Lines that one statement walks, or as many as are within the bytes of a list (`pages.ts`): where little matches, a search is many short statements and not one long one. */
const WINDOW = 1_000;
/** Windows that one page may walk; it then ends early, with a cursor to go on from. */
const WINDOWS_PER_PAGE = 300;

/** Which lines; `from` and `to` are microseconds since 1970. */
export type AuditFilter = Pick<AuditQuery, 'agent_id' | 'tool' | 'type' | 'decision' | 'from' | 'to'> & {
  /** Agents whose lines may be seen; null: all lines. */
  readonly agents: readonly string[] | null;
};

type Row = Omit<AuditItem, 'seq' | 'ts' | 'spend_usd' | 'prev_hash' | 'hash' | 'claimed_actor' | 'reason'> & {
  /** Where `detail` is left out too. */
  said: { claimed_actor: string | null; reason: string | null };
  id: number;
  ts: Date;
  micros: number;
  spend_micros: number;
  place: number;
  /** How many lines there are in the window, with those that did not fit. */
  walked: number;
  matches: boolean;
};

/** Of what one line may hold besides its fields, in pages of several: a thousand of them are 4 MiB. */
const MAX_DETAIL_BYTES = 4096;

/** So many lines from a place on; `most`: bytes of a detail, where there is a bound. */
interface Window {
  readonly start: Position | undefined;
  readonly size: number;
  readonly most?: number | undefined;
}

/** The matching lines of a window, and where the next one begins, if there is one. */
interface Walked {
  readonly rows: readonly Row[];
  readonly next: Position | undefined;
}

export const createAudit = (db: Database) => ({
  /** A page of the trail, the latest first. */
  async page(tenant: string, filter: AuditFilter, limit: number, start: Position | undefined): Promise<AuditList> {
    const rows: Row[] = [];
    const size = isSelective(filter) ? WINDOW : limit + 1;
    const most = limit === 1 ? undefined : MAX_DETAIL_BYTES;
    let next = start;
    for (let windows = 0; windows < WINDOWS_PER_PAGE; windows += 1) {
      const walked = await walk(db, tenant, filter, { start: next, size, most });
      rows.push(...walked.rows);
      const last = rows[limit - 1];
      if (last !== undefined && rows.length > limit) return pageOf(rows.slice(0, limit), positionOf(last));
      next = walked.next;
      if (next === undefined) break;
    }
    return pageOf(rows, next);
  },

  /** Every line that matches, the latest first, window by window: no more is read than whoever iterates asks for. */
  async *export(tenant: string, filter: AuditFilter): AsyncGenerator<AuditItem[]> {
    let next: Position | undefined;
    do {
      const walked: Walked = await walk(db, tenant, filter, { start: next, size: WINDOW });
      if (walked.rows.length > 0) yield walked.rows.map(toWire);
      next = walked.next;
    } while (next !== undefined);
  },
});

/** Whether lines are left out that the indexes walk past. */
const isSelective = ({ tool, type, decision }: AuditFilter): boolean => [tool, type, decision].some((value) => value);

async function walk(db: Database, tenant: string, filter: AuditFilter, { start, size, most }: Window): Promise<Walked> {
  const range = [
    sql`tenant = ${tenant}`,
    filter.agent_id === undefined ? undefined : sql`agent_id = ${filter.agent_id}`,
    ofAgents(sql`agent_id`, filter.agents),
    filter.from === undefined ? undefined : sql`ts >= ${momentAt(filter.from)}`,
    filter.to === undefined ? undefined : sql`ts < ${momentAt(filter.to)}`,
    start && behind(sql`ts, id`, start, sql`${start.id}::bigint`),
  ];
  const wanted = [
    sql`true`,
    filter.tool === undefined ? undefined : sql`tool is not distinct from ${filter.tool}`,
    filter.type === undefined ? undefined : sql`type = ${filter.type}`,
    filter.decision === undefined ? undefined : sql`decision is not distinct from ${filter.decision}`,
  ];
  const { rows } = await sql<Row>`
    with walked as materialized (
      select id, ts, type, actor, agent_id, tool, tool_version, action_id, key, decision, policy_reason, policy_version,
             spend_micros, args_hash, detail
      from audit where ${all(range)} order by ts desc, id desc limit ${size}
    ), placed as (
      select *, ${microsOf(sql`ts`)} as micros, ${all(wanted)} as matches,
             row_number() over (order by ts desc, id desc) as place, count(*) over () as walked,
             ${fits([sql`detail`], sql`ts desc, id desc`)} as fits
      from walked
    ), fitting as (
      select *, max(place) over () as last from placed where fits
    )
    select id, ts, type, actor, agent_id, tool, tool_version, action_id, key, decision, policy_reason, policy_version,
           spend_micros, args_hash, micros, matches, place, walked, ${detailUpTo(most)} as detail,
           json_build_object('claimed_actor', detail ->> 'claimed_actor', 'reason', detail ->> 'reason') as said
    from fitting where matches or place = last order by place
  `.execute(db);
  const last = rows.at(-1);
  return {
    rows: rows.filter(({ matches }) => matches),
    next: last && (last.place === size || last.place < last.walked) ? positionOf(last) : undefined,
  };
}

const detailUpTo = (most: number | undefined) =>
  most === undefined
    ? sql`detail`
    : sql`case when octet_length(detail::text) <= ${sql.lit(most)} then detail
            when detail is not null then json_build_object('truncated', true, 'bytes', octet_length(detail::text)) end`;

const positionOf = ({ micros, id }: Row): Position => ({ micros, id: String(id) });

const pageOf = (rows: readonly Row[], next: Position | undefined): AuditList => ({
  items: rows.map(toWire),
  next_cursor: next === undefined ? null : cursorOf(next),
});

/** Sealing gives a line its place in the chain; until then there is none to show. */
const toWire = (row: Row): AuditItem => ({
  seq: null,
  ts: row.ts.toISOString(),
  type: row.type,
  actor: row.actor,
  claimed_actor: row.said.claimed_actor,
  agent_id: row.agent_id,
  tool: row.tool,
  tool_version: row.tool_version,
  action_id: row.action_id,
  key: row.key,
  decision: row.decision,
  policy_reason: row.policy_reason,
  policy_version: row.policy_version,
  spend_usd: toUsd(row.spend_micros),
  args_hash: row.args_hash,
  reason: row.said.reason,
  detail: besides(row.detail),
  prev_hash: null,
  hash: null,
});

/** Without what has a field of its own. */
function besides(detail: AuditItem['detail']): AuditItem['detail'] {
  if (detail === null) return null;
  const rest = Object.entries(detail).filter(([name]) => name !== 'claimed_actor' && name !== 'reason');
  return rest.length === 0 ? null : Object.fromEntries(rest);
}
