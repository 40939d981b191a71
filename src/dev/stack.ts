import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { keptSecret, type Progress, takeDirectory } from './data-dir.ts';
import { startPostgres } from './postgres.ts';
import { startTemporal } from './temporal.ts';

type Environment = Record<string, string | undefined>;

/** `environment` may name services that run already: `DATABASE_URL`, `TEMPORAL_ADDRESS`, `REDIS_URL`. */
export interface StackOptions {
  readonly dataDir: string;
  readonly environment: Environment;
  /** Ports for Temporal's frontend and UI, taken where they are free; any by default. */
  readonly temporalPorts?: { readonly preferredPort: number; readonly preferredUiPort: number };
  /** Starts Temporal; its dev server by default. */
  readonly temporal?: typeof startTemporal;
  readonly progress: Progress;
}

/** What the product needs, running. */
export interface Stack {
  /** The given environment, completed: the product can be configured from it. */
  readonly environment: Record<string, string>;
  /** Where each service came from, for a person to read. */
  readonly sources: { readonly postgres: string; readonly temporal: string; readonly redis: string };
  /** The processes that this stack has started itself; each may have children. */
  readonly pids: { readonly postgres?: number | undefined; readonly temporal?: number | undefined };
  stop(): Promise<void>;
}

interface Part {
  readonly environment: Record<string, string>;
  readonly source: string;
  readonly pid?: number;
  stop(): Promise<void>;
}

/**
 * Brings up what the environment does not already name. All that it makes is kept in `dataDir`, and found there at the next start.
 *
 * @throws {DirectoryTaken} while another live process owns `dataDir`.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const own = { ...options, dataDir: resolve(options.dataDir) };
  const release = await takeDirectory(own.dataDir);
  const starting = { postgres: postgres(own), temporal: temporal(own) };
  const stop = async () => {
    const parts = await Promise.allSettled(Object.values(starting));
    await Promise.all(parts.map((part) => part.status === 'fulfilled' && part.value.stop()));
    await release();
  };
  try {
    const [database, server] = await Promise.all([starting.postgres, starting.temporal]);
    const redis = redisSource(own);
    const masterKey = await keptSecret(join(own.dataDir, 'master-key'), () => randomBytes(32).toString('base64'));
    const made = { TOOL_ALLOWED_HOSTS: localHosts, ONCEONLY_MASTER_KEY: masterKey };
    const environment = { ...made, ...present(own.environment), ...database.environment, ...server.environment };
    const pids = { postgres: database.pid, temporal: server.pid };
    return { environment, pids, sources: { postgres: database.source, temporal: server.source, redis }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Tools on this machine are what a first try is about; a deployment names its own. */
const localHosts = '127.0.0.0/8,::1,localhost';

async function postgres({ dataDir, environment, progress }: StackOptions): Promise<Part> {
  if (environment.DATABASE_URL) return existing('PostgreSQL', 'DATABASE_URL', progress);
  const server = await startPostgres({ dataDir, environment, progress });
  const { source, pid, stop } = server;
  return { environment: { DATABASE_URL: server.url }, source, pid, stop };
}

async function temporal({ temporal: start = startTemporal, ...options }: StackOptions): Promise<Part> {
  const { dataDir, environment, progress, temporalPorts } = options;
  const named = ['TEMPORAL_ADDRESS', 'TEMPORAL_PROFILE', 'TEMPORAL_CONFIG_FILE'].find((name) => environment[name]);
  if (named !== undefined) return existing('Temporal', named, progress);
  const namespace = environment.TEMPORAL_NAMESPACE || 'default';
  const server = await start({ dataDir, environment, progress, namespace, ...temporalPorts });
  // Temporal's usual configuration file may hold the key of a cloud account, which a local server does not understand.
  const noProfiles = join(dataDir, 'temporal', 'no-profiles.toml');
  await writeFile(noProfiles, '[profile.default]\n');
  return {
    environment: {
      TEMPORAL_ADDRESS: server.address,
      TEMPORAL_NAMESPACE: namespace,
      TEMPORAL_CONFIG_FILE: noProfiles,
      TEMPORAL_UI_URL: server.uiUrl,
    },
    source: server.source,
    pid: server.pid,
    stop: server.stop,
  };
}

function redisSource({ environment, progress }: StackOptions): string {
  if (environment.REDIS_URL) return 'REDIS_URL';
  progress('Redis: no REDIS_URL, so its twin inside the process is used (right for one process)');
  return 'in-process twin';
}

function existing(service: string, variable: string, progress: Progress): Part {
  progress(`${service}: the one that ${variable} names`);
  return { environment: {}, source: variable, stop: () => Promise.resolve() };
}

function present(environment: Environment): Record<string, string> {
  const entries = Object.entries(environment).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return Object.fromEntries(entries);
}
