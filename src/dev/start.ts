// npm start: everything the product needs, and the product, in one process.
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

const say = (line: string) => void process.stdout.write(`${line}\n`);

try {
  const ended = endRequested();
  const running = await Promise.race([start(process.env), ended]);
  // Asked to end before it was up: leaving stops the child services too.
  if (running === undefined) process.exit(0);
  for (const line of running.links) say(line);
  await Promise.race([ended, running.failed]).catch(async (error: unknown) => {
    await running.stop();
    throw error;
  });
  say('Stopping: accepted requests are finished first. A second signal ends it at once');
  await running.stop();
  say('Stopped. All data is kept, the next start goes on from here');
  process.exit(0);
} catch (error) {
  process.stderr.write(`${reason(error)}\n`);
  process.exit(1);
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
