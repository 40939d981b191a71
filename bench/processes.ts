import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const place = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

export interface Process {
  readonly pid: number;
  stop(): Promise<void>;
}

function stopped(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

/** Starts a compiled file of this folder as a process of its own, and waits until it says that it is ready. */
export async function startBeside(file: string, args: readonly string[]): Promise<Process> {
  const child = fork(place(`./${file}.js`), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)));
  });
  return { pid: child.pid ?? 0, stop: () => stopped(child) };
}

/** Starts the product as it is deployed, and waits until it is ready. `profile`: the folder for a CPU profile of all that it does. */
export async function startProcess(role: string, env: Record<string, string>, profile?: string): Promise<Process> {
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
  const child = fork(place('../src/main.js'), [role], { env, execArgv, stdio: [...stdio] });
  const url = `http://127.0.0.1:${env.PORT}/readyz`;
  for (let tries = 0; role !== 'worker'; tries += 1) {
    if (child.exitCode !== null || tries > 300) throw new Error(`${role} did not become ready`);
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { pid: child.pid ?? 0, stop: () => stopped(child) };
}
