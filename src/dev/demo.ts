// npm run demo: the product's story on a stack of its own, which is gone afterwards.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../config.ts';
import { startProduct } from '../product.ts';
import { newApiKey } from '../store/keys.ts';
import { migrate } from '../store/migrate.ts';
import { createNarrator, Unexpected } from './demo/narrator.ts';
import { createRest } from './demo/rest.ts';
import { startTools } from './demo/scene.ts';
import { tellStory } from './demo/story.ts';
import { startStack } from './stack.ts';

/** The demo was asked to end before the story was over. */
class Interrupted extends Error {
  override name = 'Interrupted';
  readonly signal: NodeJS.Signals;
  constructor(signal: NodeJS.Signals) {
    super('The demo was interrupted');
    this.signal = signal;
  }
}

type Closers = Array<() => Promise<unknown>>;

/** How long the end of a start is waited for, so that it can be stopped in good order; a build of Temporal takes longer. */
const graceMs = 10_000;

const say = (line: string) => void process.stdout.write(`${line}\n`);
const colored = process.stdout.isTTY && !process.env.NO_COLOR && process.stdout.hasColors();
const narrator = createNarrator(say, colored);

const ending = endRequested();
const closers: Closers = [];
const code = await play(makeDataDir(), ending.signal, closers).then(
  () => 0,
  (error: unknown) => explain(ending.signal.aborted ? ending.signal.reason : error),
);
process.exit(await closeAll(closers, code));

async function play(dataDir: string, signal: AbortSignal, opened: Closers): Promise<void> {
  const startedAt = Date.now();
  narrator.heading('OnceOnly on Temporal: the story of an agent that pays');
  const progress = (line: string) => signal.aborted || narrator.aside(line);
  const starting = startStack({ dataDir, environment: withoutServices(process.env), progress });
  opened.push(() =>
    within(
      graceMs,
      starting.then(
        ({ stop }) => stop(),
        () => undefined,
      ),
    ),
  );
  const { environment } = await orAborted(starting, signal);

  const apiKey = newApiKey();
  const { DATABASE_URL, TEMPORAL_UI_URL = '', ONCEONLY_MASTER_KEY, TOOL_ALLOWED_HOSTS } = environment;
  const made = { DATABASE_URL, TEMPORAL_UI_URL, ONCEONLY_MASTER_KEY, TOOL_ALLOWED_HOSTS };
  const level = process.env.LOG_LEVEL || 'error';
  const config = readConfig({ ...made, PORT: '0', LOG_LEVEL: level, ONCEONLY_BOOTSTRAP_KEY: apiKey });
  await migrate(config);
  const product = await startProduct(config, { roles: ['api', 'worker'], environment });
  opened.push(product.stop);
  product.failed.catch((error: unknown) => ending.abort(error));
  const tools = await startTools(randomBytes(18).toString('base64url'));
  opened.push(tools.close);
  narrator.aside(`API and worker: ${product.url}, up after ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);

  const rest = createRest({ url: product.url, apiKey, signal, narrator });
  await tellStory({ narrator, rest, tools }, { rest: product.url, temporalUi: TEMPORAL_UI_URL }, signal);
}

/** In the temporary directory, and removed whatever way the process ends. */
function makeDataDir(): string {
  const directory = mkdtempSync(join(tmpdir(), 'onceonly-demo-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return directory;
}

/** The demo writes to what it uses, so it never uses what the shell happens to name. */
function withoutServices(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const services = /^(DATABASE_URL|REDIS_URL|TOOL_ALLOWED_HOSTS|TEMPORAL_.*|ONCEONLY_.*)$/;
  const named = Object.keys(environment).filter((name) => services.test(name));
  if (named.length > 0) narrator.aside(`Left aside: ${named.join(', ')} (the demo makes all that it needs)`);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !services.test(name)));
}

/** Aborts at the first request to end. A Ctrl-C under npm comes twice, as npm passes on its copy: only a later one ends it at once. */
function endRequested(): AbortController {
  const controller = new AbortController();
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (firstAt !== undefined && Date.now() - firstAt > 1_000) process.exit(codeOf(signal));
    firstAt ??= Date.now();
    controller.abort(new Interrupted(signal));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  // The reader has gone (`npm run demo | head`): there is nobody left to tell the rest to.
  process.stdout.on('error', () => controller.abort(new Interrupted('SIGPIPE')));
  return controller;
}

function codeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

async function closeAll(opened: Closers, exitCode: number): Promise<number> {
  let failed = false;
  for (const close of opened.reverse()) {
    await close().catch((error: unknown) => {
      failed = true;
      explain(error);
    });
  }
  return exitCode === 0 && failed ? 1 : exitCode;
}

/** Says why the demo ends early, and answers its exit code. What a person can act on is a sentence; anything else has a trace. */
function explain(error: unknown): number {
  if (error instanceof Interrupted) {
    if (error.signal !== 'SIGPIPE') say('\nStopping: everything that the demo made is removed');
    return codeOf(error.signal);
  }
  const isPlain = error instanceof Unexpected || (error instanceof Error && error.name === 'Error' && !error.cause);
  process.stderr.write(`\n${isPlain ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  return 1;
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
