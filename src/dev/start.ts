// npm start: everything the product needs, and the product, in one process.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../config.ts';
import { startProduct } from '../product.ts';
import { migrate } from '../store/migrate.ts';
import { isCode } from './data-dir.ts';
import { isFree } from './ports.ts';
import { startStack } from './stack.ts';

interface Running {
  /** Rejects if the worker ends by itself. */
  readonly failed: Promise<unknown>;
  readonly links: readonly string[];
  stop(): Promise<void>;
}

/** Tells a process that takes another's place how often that has happened. */
const RESTARTS = 'ONCEONLY_RESTARTS';
const MAX_RESTARTS = 5;
/** Who has run for so long is not counted with those that fail at once. */
const LASTING_SECONDS = 60;
/** What is broken may not stop in good order; its children end with the process. */
const STOP_PATIENCE_MS = 45_000;

const say = (line: string) => void process.stdout.write(`${line}\n`);

try {
  const ended = endRequested();
  const running = await Promise.race([start(process.env), ended]);
  // Asked to end before it was up: leaving stops the child services too.
  if (running === undefined) process.exit(0);
  for (const line of running.links) say(line);
  const failure = await Promise.race([ended, running.failed]).catch((error: unknown) => error ?? new Error('unknown'));
  if (failure !== undefined) process.exit(await startOver(running, failure));
  say('Stopping: accepted requests are finished first. A second signal ends it at once');
  await running.stop();
  say('Stopped. All data is kept, the next start goes on from here');
  process.exit(0);
} catch (error) {
  process.stderr.write(`${reason(error)}\n`);
  process.exit(1);
}

/**
 * The worker has ended by itself, which only a fault makes it do (of the SDK, of Node): the process may be broken as a whole, so
 * a new one takes its place. Resolves with its exit code. One that does not last is not followed for ever.
 */
async function startOver(running: Running, failure: unknown): Promise<number> {
  const before = Number(process.env[RESTARTS] ?? 0);
  const restarts = process.uptime() > LASTING_SECONDS ? 1 : before + 1;
  say(`The worker has ended by itself: ${reason(failure)}`);
  await Promise.race([running.stop().catch(() => undefined), sleep(STOP_PATIENCE_MS)]);
  if (restarts > MAX_RESTARTS) throw new Error(`It has ended ${restarts} times in a row: giving up`);
  say('Starting again');
  const [program = process.execPath, ...args] = [process.execPath, ...process.argv.slice(1)];
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, [RESTARTS]: String(restarts) } });
  process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function start(given: Record<string, string | undefined>): Promise<Running> {
  const port = Number(given.PORT || 8080);
  // Asked first: a build of Temporal may take minutes, and would end in this answer.
  if (port > 0 && !(await isFree(port, given.HOST || '127.0.0.1'))) throw new Error(portTaken(port));
  const stack = await startStack({
    dataDir: given.ONCEONLY_DATA_DIR || '.onceonly',
    environment: given,
    temporalPorts: { preferredPort: 7233, preferredUiPort: 8233 },
    progress: say,
  });
  try {
    const { environment } = stack;
    const config = readConfig(environment);
    await migrate(config);
    const product = await startProduct(config, { roles: ['api', 'worker'], environment });
    const stop = () => product.stop().finally(stack.stop);
    return { failed: product.failed, links: links(product, config.TEMPORAL_UI_URL), stop };
  } catch (error) {
    await stack.stop();
    throw isCode(error, 'EADDRINUSE') ? new Error(portTaken(port)) : error;
  }
}

function links({ url, bootstrapKey }: { url: string; bootstrapKey?: string }, temporalUi: string): readonly string[] {
  const key =
    bootstrapKey === undefined ? [] : ['', `  API key      ${bootstrapKey}`, '               shown this once: keep it'];
  return [
    '',
    `  REST         ${url}`,
    `  API docs     ${url}/docs`,
    `  Temporal UI  ${temporalUi}`,
    ...key,
    '',
    'Ctrl-C stops it',
  ];
}

/** Resolves at the first request to end. A Ctrl-C under npm comes twice, as npm passes on its copy: only a later one ends it at once. */
function endRequested(): Promise<undefined> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = () => {
      if (firstAt !== undefined && Date.now() - firstAt > 1_000) process.exit(1);
      firstAt ??= Date.now();
      resolve(undefined);
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
}

function portTaken(port: number): string {
  return `Port ${port} is in use by another program. Stop it, or choose another: PORT=${port + 1} npm start`;
}

/** What a person can act on is a sentence; anything else comes with its trace. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isPlain = ['Error', 'ConfigError', 'DirectoryTaken'].includes(error.name) && error.cause === undefined;
  return isPlain ? error.message : (error.stack ?? error.message);
}
