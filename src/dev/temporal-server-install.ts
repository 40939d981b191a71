import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Progress } from './data-dir.ts';
import { findProgram, isExecutable } from './find-program.ts';

/** The release of Temporal's server that the deployment's shape is run with. */
export const temporalServerVersion = '1.32.2';

/** Two cores need about 4 minutes, once for all checkouts. */
const BUILD_MS = 30 * 60_000;

export interface ServerPrograms {
  readonly server: string;
  /** Makes and upgrades the schema of its databases, which it carries within it. */
  readonly sqlTool: string;
}

/**
 * Finds Temporal's server in the cache of the user, or builds it there from its Go module.
 *
 * @throws without Go, or where the build fails.
 */
export async function findTemporalServer(
  environment: Record<string, string | undefined>,
  progress: Progress,
): Promise<ServerPrograms> {
  const cache = environment.XDG_CACHE_HOME || join(homedir(), '.cache');
  const directory = join(cache, 'onceonly', `temporal-server-${temporalServerVersion}`);
  const programs = { server: join(directory, 'server'), sqlTool: join(directory, 'sql') };
  if (isExecutable(programs.server) && isExecutable(programs.sqlTool)) return programs;
  const go = findProgram('go', environment.PATH);
  if (go === undefined) throw new Error('Temporal’s server is built with Go, which is not installed');
  await mkdir(directory, { recursive: true });
  progress(`Temporal: building the server ${temporalServerVersion} with Go: about 4 minutes, only this once`);
  for (const command of ['cmd/server', 'cmd/tools/sql']) {
    await promisify(execFile)(go, ['install', `go.temporal.io/server/${command}@v${temporalServerVersion}`], {
      env: { ...environment, GOTOOLCHAIN: 'auto', GOBIN: directory },
      timeout: BUILD_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
  }
  return programs;
}
