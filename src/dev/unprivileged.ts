import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { findProgram } from './find-program.ts';

const run = promisify(execFile);

/** Another user to run as: numbers as in `/etc/passwd`. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** How to run a program that refuses root: `prefix` goes before its command line. */
export interface Unprivileged {
  readonly runAs?: RunAs;
  readonly prefix: readonly string[];
}

/**
 * The account for a program that refuses root: the owner of `directory` unless that is root, else `postgres` or `nobody`.
 * Undefined where we are not root: then there is nothing to give up.
 */
export async function accountBesideRoot(directory: string): Promise<RunAs | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(directory).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = accounts.find(([account]) => account === name) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    'PostgreSQL refuses to run as root, and this machine has no account postgres or nobody. Set DATABASE_URL',
  );
}

/**
 * Finds the least that lets `account` run `program` on `directory`. Where a directory above them is closed to it (a checkout below /root,
 * a temporary directory), it keeps one capability to look into directories, and no other privilege of root.
 */
export async function unprivileged(
  account: RunAs | undefined,
  { program, directory, path }: { program: string; directory: string; path: string | undefined },
): Promise<Unprivileged> {
  if (account === undefined) return { prefix: [] };
  const setpriv = findProgram('setpriv', path);
  const withCapability = setpriv === undefined ? [] : ['dac_read_search', 'dac_override'];
  const ways: Unprivileged[] = [
    { runAs: account, prefix: [] },
    ...withCapability.map((capability) => ({ prefix: keepingOnly(capability, setpriv ?? '', account) })),
  ];
  for (const way of ways) {
    if (await reaches(way, program, directory)) return way;
  }
  throw new Error(
    `PostgreSQL refuses to run as root, and user ${account.uid} cannot reach ${program} and ${directory}. ` +
      'Let others enter the directories above (chmod a+x), or set DATABASE_URL',
  );
}

function keepingOnly(capability: string, setpriv: string, { uid, gid }: RunAs): readonly string[] {
  const only = `-all,+${capability}`;
  return [
    ...[setpriv, `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'],
    ...[`--inh-caps=${only}`, `--ambient-caps=${only}`, `--bounding-set=${only}`],
    // Without this bit access(2), with which initdb looks for postgres, forgets the capability.
    ...['--securebits', '+no_setuid_fixup', '--'],
  ];
}

async function reaches({ runAs, prefix }: Unprivileged, program: string, directory: string): Promise<boolean> {
  const [command = '', ...args] = [...prefix, '/bin/sh', '-c', 'test -x "$1" && cd "$2" && test -w .', 'sh'];
  return run(command, [...args, program, directory], { cwd: '/', ...runAs }).then(
    () => true,
    () => false,
  );
}
