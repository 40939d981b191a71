import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { takeDirectory } from './data-dir.ts';
import { findProgram } from './find-program.ts';
import { identityOf, isAlive, pidOf } from './process-identity.ts';
import type { Unprivileged } from './unprivileged.ts';

/** What to start, and where it lives. */
export interface ServiceOptions {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
  /** Holds the log, the process file and the lock of this one service. */
  readonly directory: string;
  readonly environment: Record<string, string | undefined>;
  /** Asks it to end in good order. */
  readonly stopSignal: 'SIGINT' | 'SIGTERM';
  /** How to give up root, where it must. */
  readonly way?: Unprivileged;
}

/** A child process of the local stack. */
export interface Service {
  readonly name: string;
  readonly pid: number;
  /** Throws once the process has ended, with the end of its log. */
  check(): Promise<void>;
  /** Ends it in good order (by force after 20 seconds) and waits. May be called twice. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash would, and waits. */
  kill(): Promise<void>;
}

const stopSeconds = 20;

/**
 * Starts a service in a process group of its own, so that a Ctrl-C in the terminal does not reach it before its users have drained.
 * One that a killed owner left running on the same directory is stopped first.
 *
 * @throws {DirectoryTaken} while another live process owns the directory.
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const release = await takeDirectory(options.directory);
  const processFile = join(options.directory, 'process');
  try {
    await stopOrphan(processFile, options.stopSignal);
    const child = await launch(options);
    await writeFile(processFile, identityOf(child.pid) ?? '', { mode: 0o600 });
    return control(child, options, async () => {
      await rm(processFile, { force: true });
      await release();
    });
  } catch (error) {
    await release();
    throw error;
  }
}

/**
 * Asks `answers` until it says true. A service that ended, an error thrown by `answers`, or `seconds` gone by: it is stopped and the reason thrown.
 */
export async function untilReady(service: Service, answers: () => Promise<boolean>, seconds: number): Promise<void> {
  try {
    for (const deadline = Date.now() + seconds * 1000; !(await answers()); await sleep(25)) {
      await service.check();
      if (Date.now() > deadline) throw new Error(`${service.name} was not ready after ${seconds} seconds`);
    }
  } catch (error) {
    await service.stop();
    throw error;
  }
}

/** The last lines of a service's log. */
export async function logTail(directory: string, lines = 15): Promise<string> {
  const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
  return log.trimEnd().split('\n').slice(-lines).join('\n');
}

async function stopOrphan(processFile: string, signal: NodeJS.Signals): Promise<void> {
  const identity = (await readFile(processFile, 'utf8').catch(() => '')).trim();
  if (identity === '' || !isAlive(identity)) return;
  process.kill(pidOf(identity), signal);
  for (let waited = 0; isAlive(identity) && waited < stopSeconds * 10; waited += 1) await sleep(100);
  if (isAlive(identity)) process.kill(pidOf(identity), 'SIGKILL');
  while (isAlive(identity)) await sleep(20);
}

async function launch(options: ServiceOptions): Promise<ChildProcess & { pid: number }> {
  const { way, command, environment, stopSignal } = options;
  const [program = '', ...args] = [...(way?.prefix ?? []), ...leash(stopSignal, environment.PATH), ...command];
  const log = openSync(join(options.directory, 'log'), 'a', 0o600);
  const child = spawn(program, args, {
    cwd: options.directory,
    detached: true,
    env: environment,
    stdio: ['ignore', log, log],
    ...way?.runAs,
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  return Object.assign(child, { pid: child.pid ?? 0 });
}

/**
 * What goes before a command line so that, on Linux, the kernel sends `signal` to that process when we end, be it by SIGKILL.
 * Elsewhere nothing: the next start finds and stops what was left. A change of user undoes it, so it comes after one.
 */
export function leash(signal: NodeJS.Signals, path: string | undefined): readonly string[] {
  const setpriv = process.platform === 'linux' ? findProgram('setpriv', path) : undefined;
  return setpriv === undefined ? [] : [setpriv, '--pdeathsig', signal.slice(3), '--'];
}

function control(child: ChildProcess & { pid: number }, options: ServiceOptions, forget: () => Promise<void>): Service {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const onExit = () => child.kill(options.stopSignal);
  process.once('exit', onExit);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    process.off('exit', onExit);
    if (!hasEnded()) {
      child.kill(signal);
      const force = setTimeout(() => child.kill('SIGKILL'), stopSeconds * 1000);
      await ended;
      clearTimeout(force);
    }
    await forget();
  };
  return {
    name: options.name,
    pid: child.pid,
    check: async () => {
      if (!hasEnded()) return;
      const how = child.signalCode ?? `code ${child.exitCode}`;
      throw new Error(`${options.name} ended with ${how}. Its log:\n${await logTail(options.directory)}`);
    },
    stop: () => end(options.stopSignal),
    kill: () => end('SIGKILL'),
  };
}
