import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Progress } from './data-dir.ts';
import { findProgram, isExecutable } from './find-program.ts';
import { buildTemporal, downloadTemporal, temporalCliVersion } from './temporal-install.ts';

/** A usable `temporal` program and, for the terminal, where it came from. */
export interface TemporalBinary {
  readonly file: string;
  readonly source: string;
}

/** `dataDir/bin/temporal` is looked at; a download or a build goes to a cache of the user, once for all checkouts. */
export interface FindOptions {
  readonly dataDir: string;
  readonly environment: Record<string, string | undefined>;
  readonly progress: Progress;
}

/** Update-with-start and `started` in the answer of a start came with these releases of the server. */
const oldestServer = [1, 28] as const;

/**
 * Finds or brings Temporal's CLI: PATH, caches, Go's own directory, the official download, a build with Go; the first that works.
 *
 * @throws when none does, saying what to install.
 */
export async function findTemporal(options: FindOptions): Promise<TemporalBinary> {
  const { dataDir, environment, progress } = options;
  const cached = join(cacheDirectory(environment), `temporal-${temporalCliVersion}`);
  const candidates: ReadonlyArray<readonly [source: string, file: string | undefined]> = [
    ['on PATH', findProgram('temporal', environment.PATH)],
    ['in the data directory', join(dataDir, 'bin', 'temporal')],
    ['in the cache', cached],
    ["in Go's directory", await goBinary(environment)],
  ];
  for (const [source, file] of candidates) {
    if (file === undefined || !isExecutable(file)) continue;
    const version = await serverVersion(file);
    if (version !== undefined && isRecent(version))
      return { file, source: `${file} (found ${source}, server ${version})` };
    progress(
      `Temporal: ${file} is left aside: ${version === undefined ? 'it does not run' : `server ${version} is too old`}`,
    );
  }
  if (await downloadTemporal(cached, options)) return { file: cached, source: `${cached} (downloaded)` };
  if (await buildTemporal(cached, options)) return { file: cached, source: `${cached} (built with Go)` };
  throw new Error(
    'No Temporal server: install the Temporal CLI (https://docs.temporal.io/cli) so that `temporal` is on PATH, ' +
      'or install Go so that it can be built, or set TEMPORAL_ADDRESS to a server of your own',
  );
}

function cacheDirectory(environment: Record<string, string | undefined>): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'onceonly');
}

async function goBinary(environment: Record<string, string | undefined>): Promise<string | undefined> {
  const go = findProgram('go', environment.PATH);
  const asked = go && promisify(execFile)(go, ['env', 'GOPATH'], { timeout: 10_000 });
  const path = asked && (await asked.catch(() => ({ stdout: '' }))).stdout.trim();
  return join(path || join(homedir(), 'go'), 'bin', 'temporal');
}

async function serverVersion(file: string): Promise<string | undefined> {
  const { stdout } = await promisify(execFile)(file, ['--version'], { timeout: 10_000 }).catch(() => ({ stdout: '' }));
  return /\(Server (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldestServer[0] || (major === oldestServer[0] && minor >= oldestServer[1]);
}
