import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { keptSecret, type Progress } from './data-dir.ts';
import { type PostgresBinaries, postgresBinaries } from './postgres-binaries.ts';
import { accountBesideRoot, type Unprivileged, unprivileged } from './unprivileged.ts';

/** A database cluster on disk, ready to be started. */
export interface Cluster {
  /** Belongs to the account that PostgreSQL runs as; mode 0700. The data is in `data` below it. */
  readonly directory: string;
  readonly binaries: PostgresBinaries;
  readonly way: Unprivileged;
  readonly user: string;
  readonly password: string;
}

/** Finds the cluster in `directory`, or makes it. `path` is searched for `setpriv`, which is needed as root only. */
export async function openCluster(directory: string, path: string | undefined, progress: Progress): Promise<Cluster> {
  const binaries = await postgresBinaries();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const account = await accountBesideRoot(directory);
  if (account !== undefined) await chown(directory, account.uid, account.gid);
  const way = await unprivileged(account, { program: binaries.postgres, directory, path });

  const passwordFile = join(directory, 'password');
  const password = await keptSecret(passwordFile, () => randomBytes(24).toString('base64url'));
  if (account !== undefined) await chown(passwordFile, account.uid, account.gid);

  const cluster = { directory, binaries, way, user: 'onceonly', password };
  if (!existsSync(join(directory, 'data'))) {
    progress('PostgreSQL: making a new database cluster');
    await initialise(cluster, passwordFile);
  }
  return cluster;
}

/** Renamed into place when complete: a start that was killed half way leaves nothing that looks like a cluster. */
async function initialise({ directory, binaries, way, user }: Cluster, passwordFile: string): Promise<void> {
  const fresh = join(directory, 'data.new');
  await rm(fresh, { recursive: true, force: true });
  const [command = '', ...args] = [
    ...[...way.prefix, binaries.initdb, `--pgdata=${fresh}`, `--username=${user}`, `--pwfile=${passwordFile}`],
    ...['--auth=scram-sha-256', '--encoding=UTF8', '--no-instructions'],
    ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
  ];
  const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };
  await promisify(execFile)(command, args, { cwd: directory, env: environment, ...way.runAs });
  await rename(fresh, join(directory, 'data'));
}
