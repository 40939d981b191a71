import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Names a live process so that a later one with the same number is not taken for it: `pid:start time`.
 * Undefined when no such process lives (a zombie does not).
 */
export function identityOf(pid: number): string | undefined {
  const start = process.platform === 'linux' ? startOnLinux(pid) : startFromPs(pid);
  return start === undefined ? undefined : `${pid}:${start}`;
}

/** True while the process that {@link identityOf} named still lives. */
export const isAlive = (identity: string): boolean => identityOf(pidOf(identity)) === identity;

/** The process number inside an identity. */
export const pidOf = (identity: string): number => Number.parseInt(identity, 10);

function startOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets and may hold spaces; proc(5) numbers from there.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, startTime] = [fields[0], fields[19]];
    return state === 'Z' || state === 'X' ? undefined : startTime;
  } catch {
    return undefined;
  }
}

function startFromPs(pid: number): string | undefined {
  try {
    const [state, ...started] = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .split(/\s+/);
    return state?.startsWith('Z') ? undefined : started.join('-');
  } catch {
    return undefined;
  }
}
