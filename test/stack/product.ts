import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/dev/ports.ts';
import { leash } from '../../src/dev/service.ts';

/** Which part of the product a process is, as on the command line of `main.js`. */
export type Role = 'api' | 'worker' | 'all';

/** How a process ended: one of the two is null. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process of the product. */
export interface ProductProcess {
  readonly pid: number;
  /** Where it answers HTTP. A worker does not: its is empty. */
  readonly url: string;
  /** Resolves when the process has ended. */
  readonly stopped: Promise<Ended>;
  /** Sends `signal` and waits for the end: SIGTERM drains, SIGKILL is a crash. */
  kill(signal: NodeJS.Signals): Promise<Ended>;
  /** All it has written so far. */
  logs(): string;
}

const main = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const readySeconds = 60;

/**
 * Starts the built product as a process of its own and waits until it is ready. `env` is its whole environment (see `freshEnvironment`);
 * `PORT` is chosen here unless `env` names one.
 *
 * @throws with its log when it ends first, or is not ready after a minute.
 */
export async function startProcess({
  role,
  env,
  isReady: isReadyAt,
}: {
  role: Role;
  env: Record<string, string>;
  /** When it counts as started, where that is not when it says that it is ready. */
  isReady?: (url: string) => Promise<boolean>;
}): Promise<ProductProcess> {
  if (!existsSync(main)) throw new Error(`${main} is missing: run npm run build first (npm test does)`);
  const port = env.PORT ?? String(await freePort());
  const product = launch(role, { PATH: process.env.PATH, HOME: process.env.HOME, ...env, PORT: port });
  const url = role === 'worker' ? '' : `http://127.0.0.1:${port}`;
  const isReadyByItself = role === 'worker' ? async () => hasStartedWorker(product.logs()) : () => answersReady(url);
  const isReady = isReadyAt === undefined ? isReadyByItself : () => isReadyAt(url).catch(() => false);
  let ended: Ended | undefined;
  void product.stopped.then((how) => {
    ended = how;
  });
  for (const deadline = Date.now() + readySeconds * 1000; !(await isReady()); await sleep(50)) {
    if (ended !== undefined) throw new Error(`${role} ended with ${ended.signal ?? ended.code}:\n${product.logs()}`);
    if (Date.now() < deadline) continue;
    await product.kill('SIGKILL');
    throw new Error(`${role} was not ready after ${readySeconds} seconds:\n${product.logs()}`);
  }
  return { ...product, url };
}

function launch(role: Role, env: Record<string, string | undefined>): Omit<ProductProcess, 'url'> {
  const [program = '', ...args] = [...leash('SIGKILL', env.PATH), process.execPath, main, role];
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = () => void child.kill('SIGKILL');
  process.once('exit', end);
  const stopped = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      process.off('exit', end);
      resolve({ code, signal });
    });
  });
  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return stopped;
  };
  return { pid: child.pid ?? 0, stopped, kill, logs: collect(child) };
}

function collect(child: ChildProcess): () => string {
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => void chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

const hasStartedWorker = (logs: string) => logs.includes('"msg":"worker started"');

async function answersReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false;
  }
}
