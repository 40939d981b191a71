import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';

interface Wait {
  readonly mode: string;
  readonly wanted: string;
  readonly pid: number;
  readonly name: string;
  readonly state: string | null;
  readonly since: string | null;
}

/**
 * Runs `work` on a connection and says, when it is over, what that connection was last seen waiting for: a lock that was not
 * had tells nothing of itself, and once its time is out nobody can be asked.
 *
 * @param db another connection to look from; the looking is as short as can be, for an index that is built waits for every
 * statement that is under way.
 * @param pid of the connection that works.
 */
export async function watched(
  db: Kysely<unknown>,
  { pid, everyMs }: { readonly pid: number; readonly everyMs: number },
  work: () => Promise<void>,
): Promise<{ readonly fault?: unknown; readonly waitedFor?: string }> {
  const over = new AbortController();
  let waitedFor: string | undefined;
  const looking = (async () => {
    while (!over.signal.aborted) {
      await sleep(everyMs, undefined, { signal: over.signal });
      waitedFor = (await waitOf(db, pid)) ?? waitedFor;
    }
  })().catch(() => undefined);
  const fault = await work().then(
    () => undefined,
    (error: unknown) => ({ fault: error }),
  );
  over.abort();
  await looking;
  return { ...fault, ...(waitedFor !== undefined && { waitedFor }) };
}

async function waitOf(db: Kysely<unknown>, pid: number): Promise<string | undefined> {
  const { rows } = await sql<Wait>`
    select wanted.mode, coalesce(wanted.relation::regclass::text, wanted.locktype) as wanted,
      holder.pid, coalesce(nullif(holder.application_name, ''), 'unnamed') as name, holder.state,
      holder.xact_start::text as since
    from pg_locks wanted
      cross join lateral unnest(pg_blocking_pids(wanted.pid)) as blocking (pid)
      join pg_stat_activity holder on holder.pid = blocking.pid
    where wanted.pid = ${pid}::int and not wanted.granted
  `.execute(db);
  const [first] = rows;
  if (first === undefined) return undefined;
  const holders = rows.map(
    ({ pid: holder, name, state, since }) =>
      `${name} (pid ${holder}, ${state ?? 'state unknown'}${since === null ? '' : `, in a transaction since ${since}`})`,
  );
  return `${first.mode} on ${first.wanted}, which ${[...new Set(holders)].join(', ')} stands in the way of`;
}
