import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Progress } from './data-dir.ts';
import { findProgram, isExecutable } from './find-program.ts';

/** The version of Temporal's CLI that is brought where none is found. */
export const temporalCliVersion = '1.5.1';

/** The environment that `go` and the download see, and where to say what goes on. */
export interface InstallOptions {
  readonly environment: Record<string, string | undefined>;
  readonly progress: Progress;
}

const stalledSeconds = 30;
const buildMinutes = 20;

/**
 * Temporal's own download, through the mechanism of `@temporalio/testing`, into `target`. False where it fails, or stands still for
 * 30 seconds. It runs in a process of its own: it would otherwise start the SDK's runtime in ours, which the product configures itself.
 */
export async function downloadTemporal(target: string, { environment, progress }: InstallOptions): Promise<boolean> {
  const testing = resolveTesting();
  if (testing === undefined) return false;
  progress(`Temporal: not found on this machine; trying the official download of version ${temporalCliVersion}`);
  return inScratch(target, async (scratch) => {
    const script = `
      const { TestWorkflowEnvironment } = await import(process.argv[1]);
      const executable = { type: 'cached-download', downloadDir: process.argv[2], version: 'v${temporalCliVersion}' };
      const environment = await TestWorkflowEnvironment.createLocal({ server: { executable } });
      await environment.teardown();`;
    const args = ['--input-type=module', '--eval', script, pathToFileURL(testing).href, scratch];
    let [size, grewAt] = [0, Date.now()];
    const isStalled = async () => {
      const now = await sizeOf(scratch);
      if (now > size) [size, grewAt] = [now, Date.now()];
      return Date.now() - grewAt > stalledSeconds * 1000;
    };
    const failure = await runWatched(process.execPath, args, environment, isStalled);
    if (failure !== undefined) progress(`Temporal: the official download failed: ${failure}`);
    return failure === undefined;
  });
}

/** Builds Temporal's CLI from its Go module into `target`: 3 to 4 minutes on two cores, once. False without Go, or where it fails. */
export async function buildTemporal(target: string, { environment, progress }: InstallOptions): Promise<boolean> {
  const go = findProgram('go', environment.PATH);
  if (go === undefined) return false;
  progress(`Temporal: building version ${temporalCliVersion} with Go: 3 to 4 minutes, only this once`);
  return inScratch(target, async (scratch) => {
    const started = Date.now();
    let said = 0;
    const isTooSlow = async () => {
      const seconds = Math.round((Date.now() - started) / 1000);
      if (seconds >= said + 10) progress(`Temporal: building, ${seconds} seconds so far`);
      if (seconds >= said + 10) said = seconds;
      return seconds > buildMinutes * 60;
    };
    const args = ['install', '-ldflags=-s -w', `github.com/temporalio/cli/cmd/temporal@v${temporalCliVersion}`];
    const failure = await runWatched(go, args, { ...environment, GOBIN: scratch }, isTooSlow);
    if (failure !== undefined) progress(`Temporal: the build failed: ${failure}`);
    return failure === undefined;
  });
}

/** Lets `fill` put the program into a directory beside `target`, then moves it into place in one step. */
async function inScratch(target: string, fill: (scratch: string) => Promise<boolean>): Promise<boolean> {
  await mkdir(dirname(target), { recursive: true });
  const scratch = await mkdtemp(`${target}-`);
  try {
    if (!(await fill(scratch))) return false;
    for (const name of await readdir(scratch)) {
      if (!isExecutable(join(scratch, name))) continue;
      await chmod(join(scratch, name), 0o755);
      await rename(join(scratch, name), target);
      return true;
    }
    return false;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Runs to the end, or until `giveUp` (asked every half second) says so. Answers why it failed, in one line; undefined: it did not. */
function runWatched(
  program: string,
  args: readonly string[],
  environment: Record<string, string | undefined>,
  giveUp: () => Promise<boolean>,
): Promise<string | undefined> {
  const child = spawn(program, args, { env: environment, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const end = () => child.pid !== undefined && child.exitCode === null && process.kill(-child.pid, 'SIGKILL');
  process.once('exit', end);
  let errors = '';
  let gaveUp = false;
  child.stderr.on('data', (data: Buffer) => {
    errors = (errors + data.toString()).slice(-4_000);
  });
  const watch = setInterval(async () => {
    if (await giveUp().catch(() => false)) gaveUp = Boolean(end());
  }, 500);
  return new Promise((resolve) => {
    const finish = (failure?: string) => {
      clearInterval(watch);
      process.off('exit', end);
      resolve(failure);
    };
    child.once('error', (error) => finish(error.message));
    child.once('close', (code) => finish(code === 0 ? undefined : gaveUp ? 'it took too long' : reason(errors, code)));
  });
}

/** The line that names an error, else the last one. */
function reason(errors: string, code: number | null): string {
  const lines = errors.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.find((line) => /error|fail/i.test(line)) ?? lines.at(-1) ?? `it ended with code ${code}`;
  return telling.trim().slice(0, 200);
}

async function sizeOf(directory: string): Promise<number> {
  const files = await readdir(directory);
  const sizes = await Promise.all(
    files.map((name) =>
      stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function resolveTesting(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve('@temporalio/testing');
  } catch {
    return undefined;
  }
}
