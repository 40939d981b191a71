import { readdir, readFile } from 'node:fs/promises';

/** CPU milliseconds, by the name of whoever used them. */
export type Usage = Readonly<Record<string, number>>;

/** proc(5) counts in ticks of USER_HZ, which Linux has kept at 100 a second. */
const MS_PER_TICK = 10;

interface Seen {
  readonly parent: number;
  readonly ticks: number;
}

/** A process's own time and that of the children that it has seen end, as PostgreSQL's first process does its backends. */
async function look(pid: string): Promise<Seen | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  // The second field is the program's name in brackets and may hold spaces; the third is at 0 here.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return { parent: fields[1] ?? 0, ticks: utime + stime + cutime + cstime };
}

/**
 * What each of these processes, with all below it, has used since it began (Linux; elsewhere nothing is told). The steps are 10 ms wide.
 */
export async function usageOf(roots: Readonly<Record<string, number | undefined>>): Promise<Usage> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const seen = new Map<number, Seen>();
  for (const pid of pids) {
    const one = await look(pid);
    if (one !== undefined) seen.set(Number(pid), one);
  }
  const owners = new Map(Object.entries(roots).map(([name, pid]) => [pid, name]));
  const usage: Record<string, number> = Object.fromEntries(Object.keys(roots).map((name) => [name, 0]));
  for (const [pid, { ticks }] of seen) {
    const owner = ownerOf(pid, seen, owners);
    if (owner !== undefined) usage[owner] = (usage[owner] ?? 0) + ticks * MS_PER_TICK;
  }
  return usage;
}

/** The nearest of the roots above a process: the load generator has started all others, and is not charged for them. */
function ownerOf(
  pid: number,
  seen: ReadonlyMap<number, Seen>,
  owners: ReadonlyMap<number | undefined, string>,
): string | undefined {
  for (let at: number | undefined = pid; at !== undefined && at !== 0; at = seen.get(at)?.parent) {
    const owner = owners.get(at);
    if (owner !== undefined) return owner;
  }
  return undefined;
}

/** What was used between two looks. */
export const between = (before: Usage, after: Usage): Usage =>
  Object.fromEntries(Object.entries(after).map(([name, used]) => [name, used - (before[name] ?? 0)]));

/** The same, for one of so many operations. */
export const perOperation = (usage: Usage, operations: number): Usage =>
  Object.fromEntries(Object.entries(usage).map(([name, used]) => [name, used / Math.max(1, operations)]));
