import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { JsonObject } from '../contracts/common.ts';
import type { LeaseEnding } from '../contracts/lease.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import { blocksAcquisition, LEASE_MEMORY_DAYS, type LeaseRecord } from '../domain/lease.ts';
import type { Queries } from './database.ts';
import type { Pools } from './pools.ts';
import { type AuditEntry, appendAudit, type Timeline, tell } from './trail.ts';
import { ofLease } from './turns.ts';
import { addOne, addUsage, type Counted } from './usage.ts';

/** Who wants a lease, for how long. */
export interface Acquisition {
  readonly tenant: string;
  readonly key: string;
  readonly ttlSeconds: number;
  readonly owner: string | null;
  readonly metadata: JsonObject | null;
  readonly retryFailed: boolean;
  readonly actor: string | null;
  /** The timeline of a run that wants the lease for its actions. */
  readonly run?: RunTimeline;
  /** The run of the workflow that is to mind the lease. */
  readonly workflowRunId: string;
  /** Of the request that asks: asking again under it is no other holder, and acquires once. */
  readonly acquisition: string;
}

export interface RunTimeline {
  readonly runId: string;
  readonly agentId: string | null;
}

export type Opened =
  | { readonly kind: 'acquired' | 'taken'; readonly lease: LeaseRecord; readonly mindedBy: string }
  /** The run that was to mind the lease has found its end already: another one has to be started. */
  | { readonly kind: 'run_closed' };

export type LeaseChange =
  | { readonly kind: 'changed'; readonly lease: LeaseRecord }
  | { readonly kind: 'not_found' | 'mismatch' | 'not_active' };

type LeaseRow = Omit<LeaseRecord, 'firstSeenAt' | 'doneAt'> & {
  firstSeenAt: Date;
  doneAt: Date | null;
  workflowRunId: string;
  acquisition: string | null;
  runOpen: boolean;
  begunFence: number;
  runId: string | null;
  runAgentId: string | null;
  /** Held in the row, but its time has passed. */
  overdue: boolean;
};

// A held lease whose time has passed is expired from that moment on, whoever gets round to writing it down.
const columns = sql`
  l.key, l.fence, l.of_run as "ofRun", l.lease_id as "leaseId", l.workflow_run_id as "workflowRunId",
  l.acquisition, l.run_open as "runOpen", l.begun_fence as "begunFence", l.run_id as "runId",
  l.run_agent_id as "runAgentId", l.owner, coalesce(l.run_agent_id, l.metadata ->> 'agent_id') as "agentId", l.version, l.ttl as "ttlSeconds",
  l.result, l.result_hash as "resultHash", l.error_code as "errorCode", l.first_seen_at as "firstSeenAt",
  l.state = 'held' and l.expires_at <= clock_timestamp() as overdue,
  case when l.state = 'held' and l.expires_at <= clock_timestamp() then 'expired' else l.state end as state,
  case when l.state = 'held' and l.expires_at <= clock_timestamp() then l.expires_at else l.done_at end as "doneAt",
  case when l.state = 'held' then greatest(0, ceil(extract(epoch from l.expires_at - clock_timestamp())))::integer
    else 0 end as "ttlLeftSeconds",
  coalesce(l.done_at, l.expires_at) > clock_timestamp() - make_interval(days => ${sql.lit(LEASE_MEMORY_DAYS)}) as remembered`;

const toRecord = (row: LeaseRow): LeaseRecord => ({
  key: row.key,
  fence: row.fence,
  ofRun: row.ofRun,
  leaseId: row.leaseId,
  owner: row.owner,
  agentId: row.agentId?.normalize('NFC') ?? null,
  state: row.state,
  version: row.version,
  ttlSeconds: row.ttlSeconds,
  ttlLeftSeconds: row.ttlLeftSeconds,
  result: row.result,
  resultHash: row.resultHash,
  errorCode: row.errorCode,
  remembered: row.remembered,
  begunFence: row.begunFence,
  firstSeenAt: row.firstSeenAt.toISOString(),
  doneAt: row.doneAt?.toISOString() ?? null,
});

const newLeaseId = (): string => `lease_${randomBytes(18).toString('base64url')}`;

export const createLeases = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /** The lease of a key, if it is held or finished within its memory. */
  async find(tenant: string, key: string): Promise<LeaseRecord | undefined> {
    const row = await read(reads, tenant, key);
    return row?.remembered ? toRecord(row) : undefined;
  },

  /** The lease of a key, with the run that minds it, however long ago it ended. */
  async findMinded(tenant: string, key: string): Promise<{ lease: LeaseRecord; workflowRunId: string } | undefined> {
    const row = await read(reads, tenant, key);
    return row && { lease: toRecord(row), workflowRunId: row.workflowRunId };
  },

  /**
   * Acquires the key, with the next fence, unless its lease is held or its outcome final. The row is locked when it is read:
   * a lease and a run that want one key take turns here, and so do its holder and who waits for its end.
   */
  open: (wanted: Acquisition): Promise<Opened> =>
    writes.transact(ofLease(wanted.tenant, wanted.key), async (tx) => {
      await lockKey(tx, wanted.tenant, wanted.key);
      const row = await read(tx, wanted.tenant, wanted.key, { lock: true });
      const found = row && standingFor(row, wanted);
      if (found !== undefined) return found;
      if (row?.overdue) await noteExpiry(tx, wanted.tenant, toRecord(row));
      return { kind: 'acquired', ...(await acquire(tx, wanted, row && toRecord(row))) };
    }),

  /** Gives the holder `ttlSeconds` more from now (its own ttl where null). */
  extend(tenant: string, held: Held, ttlSeconds: number | null): Promise<LeaseChange> {
    const set = sql`version = l.version + 1, ttl = coalesce(${ttlSeconds}::integer, l.ttl),
      expires_at = clock_timestamp() + make_interval(secs => coalesce(${ttlSeconds}::integer, l.ttl))`;
    return writes.run(ofLease(tenant, held.key), (db) => change(db, tenant, held, set, { type: 'ai_extended' }, []));
  },

  /** Ends the lease as its holder says; ending it twice in the same way is no change. */
  finish: (tenant: string, held: Held, ending: LeaseEnding): Promise<LeaseChange> =>
    writes.run(ofLease(tenant, held.key), (db) => finish(db, tenant, held, ending)),

  /** Gives a run's lease its whole time again, also when that has passed and nobody else has taken the key since. */
  renew: (tenant: string, key: string, leaseId: string): Promise<LeaseRecord | undefined> =>
    writes.run(ofLease(tenant, key), async (db) => {
      await renew(db, tenant, key, leaseId);
      const row = await read(db, tenant, key);
      return row && toRecord(row);
    }),

  /**
   * How the lease stands that a run of a workflow minds, closing it if its time has passed. A run that hears that it is over is
   * taken at its word: from now on no lease is given into its care.
   */
  look: (tenant: string, key: string, workflowRunId: string): Promise<LeaseRecord | undefined> =>
    writes.transact(ofLease(tenant, key), async (tx) => {
      await lockKey(tx, tenant, key);
      const row = await read(tx, tenant, key, { lock: true });
      if (row === undefined || row.workflowRunId !== workflowRunId) return undefined;
      if (row.overdue) await expire(tx, tenant, key, row.leaseId);
      if (row.state !== 'held')
        await sql`
        update leases set run_open = false where tenant = ${tenant} and key = ${key}`.execute(tx);
      return toRecord(row);
    }),

  /** Ends a lease whose workflow is gone, since an operator terminated it: as if it had been canceled, its timeline too. */
  orphan: (tenant: string, key: string, leaseId: string): Promise<LeaseChange> =>
    writes.transact(ofLease(tenant, key), async (tx) => {
      const row = await read(tx, tenant, key, { lock: true });
      const ending: LeaseEnding = { state: 'canceled', reason: 'workflow_gone' };
      const change = await finish(tx, tenant, { key, leaseId, actor: null }, ending);
      if (change.kind === 'changed' && row !== undefined && row.runId !== null) {
        const run = timelineOf(
          { tenant, workflowRunId: row.workflowRunId },
          { runId: row.runId, agentId: row.runAgentId },
        );
        await tell(tx, run, { type: 'run_finished', status: 'canceled' });
      }
      return change;
    }),

  /** At most `limit` leases that are held in their rows, behind a key, for who looks whether their workflows are there. */
  async held(after: { tenant: string; key: string }, limit: number): Promise<HeldRow[]> {
    const { rows } = await sql<HeldRow>`
      select tenant, key, lease_id as "leaseId", workflow_run_id as "workflowRunId", of_run as "ofRun",
             expires_at <= clock_timestamp() as overdue
      from leases where state = 'held' and (tenant, key) > (${after.tenant}, ${after.key})
        and first_seen_at < clock_timestamp() - interval '30 seconds'
      order by tenant, key limit ${limit}
    `.execute(reads);
    return rows;
  },

  /** Closes a lease whose time has passed and which no workflow minds any more. */
  expire: (tenant: string, key: string, leaseId: string): Promise<unknown> =>
    writes.run(ofLease(tenant, key), (db) => expire(db, tenant, key, leaseId)),
});

/** Why a key is not to be had as it stands, or that this very request has it already; undefined where it can be acquired. */
function standingFor(row: LeaseRow, wanted: Acquisition): Opened | undefined {
  const lease = toRecord(row);
  const found = { lease, mindedBy: row.workflowRunId };
  const isSameRun = row.workflowRunId === wanted.workflowRunId;
  const isMine = row.acquisition === wanted.acquisition && (row.state === 'held' || isSameRun);
  if (isMine) return { kind: 'acquired', ...found };
  if (blocksAcquisition(lease, wanted.retryFailed)) return { kind: 'taken', ...found };
  // A run of actions minds the one lease that it was started for.
  const isUsedUp = !row.runOpen || row.ofRun || wanted.run !== undefined;
  return isSameRun && isUsedUp ? { kind: 'run_closed' } : undefined;
}

export interface HeldRow {
  readonly tenant: string;
  readonly key: string;
  readonly leaseId: string;
  readonly workflowRunId: string;
  readonly ofRun: boolean;
  readonly overdue: boolean;
}

/** Also while the key has no row yet. */
const lockKey = (tx: Queries, tenant: string, key: string) =>
  sql`select pg_advisory_xact_lock(hashtextextended(${`lease/${tenant}/${key}`}, 0))`.execute(tx);

const expire = (db: Queries, tenant: string, key: string, leaseId: string) =>
  sql`
    with lease as (
      update leases set state = 'expired', done_at = expires_at
      where tenant = ${tenant} and key = ${key} and lease_id = ${leaseId} and state = 'held'
        and expires_at <= clock_timestamp()
      returning 1
    ), counted as (${addOne(tenant, 'ai_failed', sql`exists (select 1 from lease)`)})
    ${appendAudit([expiryEntry(tenant, key)], sql`exists (select 1 from lease)`)}
  `.execute(db);

export interface Held {
  readonly key: string;
  readonly leaseId: string;
  readonly actor: string | null;
}

/** {@link createLeases}' `finish`, also as part of a transaction. */
export async function finish(db: Queries, tenant: string, held: Held, ending: LeaseEnding): Promise<LeaseChange> {
  const { set, type, detail } = endings(ending);
  const audit = { type, ...(detail === undefined ? {} : { detail }) };
  const counted = ending.state === 'canceled' ? [] : [{ tenant, kind: `ai_${ending.state}` as const, count: 1 }];
  const changed = await change(db, tenant, held, set, audit, counted);
  if (changed.kind !== 'not_active') return changed;
  const row = await read(db, tenant, held.key);
  return row?.state === ending.state ? { kind: 'changed', lease: toRecord(row) } : changed;
}

/** Moves a held lease's end, whether or not it has passed, and locks its row. */
export const renew = (db: Queries, tenant: string, key: string, leaseId: string) =>
  sql`
    update leases set expires_at = clock_timestamp() + make_interval(secs => ttl)
    where tenant = ${tenant} and key = ${key} and lease_id = ${leaseId} and state = 'held'
  `.execute(db);

/** Lines of a run as a whole are known by the workflow run that wrote them. */
export const timelineOf = (
  { tenant, workflowRunId }: Pick<Acquisition, 'tenant' | 'workflowRunId'>,
  { runId, agentId }: RunTimeline,
): Timeline => ({ tenant, runId, agentId, tool: null, actionId: workflowRunId });

async function read(db: Queries, tenant: string, key: string, { lock = false } = {}): Promise<LeaseRow | undefined> {
  const { rows } = await sql<LeaseRow>`
    select ${columns} from leases l where l.tenant = ${tenant} and l.key = ${key} ${lock ? sql`for update` : sql``}
  `.execute(db);
  return rows[0];
}

/**
 * A run that is gone on with, after a failure, a doubt or a lost worker, is the same undertaking: what it has made already stays
 * made (contract, section 14). Anything else begins anew.
 */
const goesOn = (before: LeaseRecord | undefined): before is LeaseRecord =>
  before?.ofRun === true && before.remembered && before.state !== 'completed';

async function acquire(tx: Queries, wanted: Acquisition, before: LeaseRecord | undefined) {
  const { tenant, key } = wanted;
  const entry: AuditEntry = { tenant, type: 'ai_acquired', actor: wanted.actor, key };
  const begunFence = wanted.run !== undefined && goesOn(before) ? before.begunFence : (before?.fence ?? 0) + 1;
  const { rows } = await sql<LeaseRow>`
    with audited as (${appendAudit([entry])}), counted as (${addOne(tenant, 'ai_acquired')}), l as (
      insert into leases as old (tenant, key, fence, state, lease_id, workflow_run_id, acquisition, begun_fence, of_run, run_id,
                                 run_agent_id, owner, version, ttl, metadata, first_seen_at, expires_at)
      values (${tenant}, ${key}, 1, 'held', ${newLeaseId()}, ${wanted.workflowRunId}, ${wanted.acquisition},
              ${begunFence}, ${wanted.run !== undefined}, ${wanted.run?.runId ?? null}, ${wanted.run?.agentId ?? null},
              ${wanted.owner}, 1, ${wanted.ttlSeconds},
              ${wanted.metadata === null ? null : JSON.stringify(wanted.metadata)}, clock_timestamp(),
              clock_timestamp() + make_interval(secs => ${wanted.ttlSeconds}))
      on conflict (tenant, key) do update set fence = old.fence + 1, state = 'held', lease_id = excluded.lease_id,
        workflow_run_id = excluded.workflow_run_id, acquisition = excluded.acquisition, run_open = true,
        begun_fence = excluded.begun_fence, of_run = excluded.of_run, run_id = excluded.run_id,
        run_agent_id = excluded.run_agent_id, owner = excluded.owner, version = 1, ttl = excluded.ttl,
        metadata = excluded.metadata, first_seen_at = excluded.first_seen_at, expires_at = excluded.expires_at,
        done_at = null, result = null, result_hash = null, error_code = null, error_hash = null
      returning *
    )
    select ${columns} from l
  `.execute(tx);
  if (wanted.run !== undefined)
    await tell(tx, timelineOf(wanted, wanted.run), { type: 'run_started', status: 'running' });
  return { lease: toRecord(rows[0] as LeaseRow), mindedBy: wanted.workflowRunId };
}

const expiryEntry = (tenant: string, key: string): AuditEntry => ({
  tenant,
  type: 'ai_failed',
  key,
  detail: { error_code: 'expired' },
});
const noteExpiry = (tx: Queries, tenant: string, lease: LeaseRecord) =>
  sql`with counted as (${addOne(tenant, 'ai_failed')}) ${appendAudit([expiryEntry(tenant, lease.key)])}`.execute(tx);

function endings(ending: LeaseEnding) {
  const done = sql`done_at = clock_timestamp(), state = ${ending.state}`;
  if (ending.state === 'canceled') {
    return { set: done, type: 'ai_canceled', detail: ending.reason === null ? undefined : { reason: ending.reason } };
  }
  if (ending.state === 'failed') {
    const { errorCode, errorHash, result } = ending;
    const kept = result === undefined ? null : JSON.stringify(result);
    return {
      set: sql`${done}, error_code = ${errorCode}, error_hash = ${errorHash}, result = ${kept}::json`,
      type: 'ai_failed',
      detail: { error_code: errorCode },
    };
  }
  const hash = ending.resultHash ?? (ending.result === null ? null : fingerprint(ending.result));
  const result = ending.result === null ? null : JSON.stringify(ending.result);
  return {
    set: sql`${done}, result = ${result}::json, result_hash = ${hash}`,
    type: 'ai_completed',
    detail: undefined,
  };
}

/** Changes a lease that its holder still holds, or says why not. */
async function change(
  db: Queries,
  tenant: string,
  held: Held,
  set: ReturnType<typeof sql>,
  audit: Pick<AuditEntry, 'type' | 'detail'>,
  counted: readonly Counted[],
): Promise<LeaseChange> {
  const entry: AuditEntry = { tenant, actor: held.actor, key: held.key, ...audit };
  const { rows } = await sql<LeaseRow>`
    with l as (
      update leases as l set ${set}
      where l.tenant = ${tenant} and l.key = ${held.key} and l.lease_id = ${held.leaseId} and l.state = 'held'
        and l.expires_at > clock_timestamp()
      returning *
    ), audited as (${appendAudit([entry], sql`exists (select 1 from l)`)}),
    counted as (${addUsage(counted, sql`exists (select 1 from l)`)})
    select ${columns} from l
  `.execute(db);
  if (rows[0] !== undefined) return { kind: 'changed', lease: toRecord(rows[0]) };
  const row = await read(db, tenant, held.key);
  if (row === undefined || !row.remembered) return { kind: 'not_found' };
  return { kind: row.leaseId === held.leaseId ? 'not_active' : 'mismatch' };
}
