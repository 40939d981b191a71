import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import { isCode, type Progress } from './data-dir.ts';
import { freePort } from './ports.ts';
import { type Cluster, openCluster } from './postgres-cluster.ts';
import { type Service, startService, untilReady } from './service.ts';

/** A running PostgreSQL of our own. */
export interface Postgres {
  /** Connection string of its database `onceonly`. */
  readonly url: string;
  readonly port: number;
  readonly source: string;
  /** Of its first process, the parent of all others. */
  readonly pid: number;
  /** Fast shutdown: open transactions are rolled back, everything committed is on disk. Waits for its end. */
  stop(): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

/** Where its data is kept, and the port it must have (else a free one). */
export interface PostgresOptions {
  readonly dataDir: string;
  readonly port?: number;
  readonly environment: Record<string, string | undefined>;
  readonly progress: Progress;
}

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '256MB',
  fsync: 'on',
  synchronous_commit: 'on',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  update_process_title: 'off',
};

/**
 * Starts the PostgreSQL that npm brought, durable, on 127.0.0.1 only, with its data under `dataDir/postgres`. Works as root too.
 *
 * @throws {DirectoryTaken} while another live process runs one on the same data.
 */
export async function startPostgres({ dataDir, port, environment, progress }: PostgresOptions): Promise<Postgres> {
  const cluster = await openCluster(join(dataDir, 'postgres'), environment.PATH, progress);
  const taken = await freePort({ port });
  const server = { host: '127.0.0.1', port: taken, user: cluster.user, password: cluster.password };
  const service = await launchUntilReady(cluster, server, environment.PATH);
  const source = 'embedded PostgreSQL (npm)';
  progress(`PostgreSQL: ${source} on 127.0.0.1:${taken}`);
  const url = `postgresql://${server.user}:${server.password}@127.0.0.1:${taken}/onceonly`;
  return { url, port: taken, source, pid: service.pid, stop: service.stop, kill: service.kill };
}

/** After a crash its last children hold the shared memory for a moment longer, and a new start is refused until they are gone. */
async function launchUntilReady(cluster: Cluster, server: Server, path: string | undefined): Promise<Service> {
  for (const deadline = Date.now() + 10_000; ; await sleep(200)) {
    const service = await launch(cluster, server.port, path);
    try {
      await untilReady(service, () => hasDatabase(server), 60);
      return service;
    } catch (error) {
      const refused = error instanceof Error && error.message.includes('pre-existing shared memory block');
      if (!refused || Date.now() > deadline) throw error;
    }
  }
}

function launch({ directory, binaries, way }: Cluster, port: number, path: string | undefined): Promise<Service> {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return startService({
    name: 'PostgreSQL',
    command: [binaries.postgres, '-D', join(directory, 'data'), '-p', String(port), ...flags],
    directory,
    environment: { PATH: path, LC_ALL: 'C' },
    stopSignal: 'SIGINT',
    way,
  });
}

interface Server {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** Makes the product's database if it is not there. False while the server is starting up (crash recovery may run first). */
async function hasDatabase(server: Server): Promise<boolean> {
  const client = new Client({ ...server, database: 'postgres', connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('create database onceonly').catch(unlessItExists);
    return true;
  } catch (error) {
    if (isFinal(error)) throw error;
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function unlessItExists(error: unknown): void {
  if (!isCode(error, '42P04')) throw error;
}

/** The server itself refused (a SQLSTATE), and not because it is still starting up (class 57). */
const isFinal = (error: unknown): boolean =>
  error instanceof DatabaseError && error.code !== undefined && !error.code.startsWith('57');
