import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import pg from 'pg';
import { freePort } from './ports.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import { startService, untilReady } from './service.ts';
import { serves, type Temporal, type TemporalOptions } from './temporal.ts';
import { findTemporalServer, temporalServerVersion } from './temporal-server-install.ts';

/** What `docker-compose.yml` sets too: fixed for ever when the databases are made. */
export const HISTORY_SHARDS = 4;
/** The same file from `src/` and from `dist/src/`. */
const dynamicConfigFile = fileURLToPath(
  new URL(
    import.meta.url.includes('/dist/')
      ? '../../../deploy/temporal/dynamic-config.yaml'
      : '../../deploy/temporal/dynamic-config.yaml',
    import.meta.url,
  ),
);
export const RETENTION_SECONDS = 3 * 86_400;

/**
 * Temporal as a deployment has it, rather than its dev server: the server itself, its four services in one process, on two databases
 * of a PostgreSQL of its own in `dataDir`, with the dynamic configuration and the retention of `docker-compose.yml`.
 */
export async function startTemporalServer(options: TemporalOptions): Promise<Temporal> {
  const { dataDir, environment, progress, namespace = 'default' } = options;
  const programs = await findTemporalServer(environment, progress);
  const directory = join(dataDir, 'temporal');
  const store = await startPostgres({ dataDir: directory, environment, progress: () => undefined });
  try {
    await makeSchema(programs.sqlTool, store, environment);
    const port = await freePort({ port: options.port, preferred: options.preferredPort });
    const configFile = await writeConfig(directory, port, store);
    const service = await startService({
      name: 'Temporal',
      command: [programs.server, '--config-file', configFile, '--allow-no-auth', 'start'],
      directory,
      environment: { PATH: environment.PATH, HOME: environment.HOME, GOGC: '800' },
      stopSignal: 'SIGTERM',
    });
    const address = `127.0.0.1:${port}`;
    await untilReady(service, () => makeNamespace(address, namespace), 120);
    await untilReady(service, () => serves(address, namespace), 60);
    const source = `Temporal's server ${temporalServerVersion} on PostgreSQL, ${HISTORY_SHARDS} history shards`;
    progress(`Temporal: ${source}, at ${address}`);
    const end = (how: 'stop' | 'kill') => async () => {
      await service[how]();
      await store[how]();
    };
    const { pid } = service;
    return { address, uiUrl: 'http://localhost:8233', port, source, pid, stop: end('stop'), kill: end('kill') };
  } catch (error) {
    await store.stop();
    throw error;
  }
}

const databases = { temporal: 'temporal', temporal_visibility: 'visibility' } as const;

async function makeSchema(sqlTool: string, { url }: Postgres, environment: Record<string, string | undefined>) {
  const { hostname, port, username, password } = new URL(url);
  for (const [database, schema] of Object.entries(databases)) {
    if (!(await makeDatabase(url, database))) continue;
    const run = (...args: string[]) =>
      promisify(execFile)(
        sqlTool,
        ['--plugin', 'postgres12', '--ep', hostname, '-p', port, '-u', username, '--db', database, ...args],
        { env: { ...environment, SQL_PASSWORD: password } },
      );
    await run('setup-schema', '-v', '0.0');
    await run('update-schema', '--schema-name', `postgresql/v12/${schema}`);
  }
}

/** Says whether it was made now. */
async function makeDatabase(url: string, name: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rows.length === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
    return rows.length === 0;
  } finally {
    await client.end();
  }
}

async function makeNamespace(address: string, namespace: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: '1s' }).catch(() => undefined);
  if (connection === undefined) return false;
  try {
    const retention = { seconds: RETENTION_SECONDS as unknown as Long };
    await connection.withDeadline(Date.now() + 5_000, () =>
      connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention }),
    );
    return true;
  } catch (error) {
    return /already exists/i.test(String(error));
  } finally {
    await connection.close();
  }
}
type Long = NonNullable<
  NonNullable<
    Parameters<Connection['workflowService']['registerNamespace']>[0]['workflowExecutionRetentionPeriod']
  >['seconds']
>;

/** Ports are chosen once and kept: its services find each other by them after a restart. */
async function writeConfig(directory: string, port: number, { url }: Postgres): Promise<string> {
  await mkdir(directory, { recursive: true });
  const kept = join(directory, 'ports.json');
  const known = await readFile(kept, 'utf8').then(
    (text) => JSON.parse(text) as Ports,
    () => undefined,
  );
  const ports = known ?? (await choosePorts());
  await writeFile(kept, JSON.stringify(ports));
  const file = join(directory, 'server.json');
  // JSON is YAML.
  await writeFile(file, JSON.stringify(configOf(port, ports, new URL(url))), { mode: 0o600 });
  return file;
}

const parts = ['frontend', 'matching', 'history', 'worker'] as const;
type Ports = Record<`${(typeof parts)[number]}${'Grpc' | 'Membership'}`, number> & { http: number };

async function choosePorts(): Promise<Ports> {
  const chosen: Record<string, number> = { http: await freePort({}) };
  for (const part of parts) {
    chosen[`${part}Grpc`] = await freePort({});
    chosen[`${part}Membership`] = await freePort({});
  }
  return chosen as Ports;
}

function configOf(port: number, ports: Ports, { hostname, port: sqlPort, username, password }: URL) {
  const datastore = (databaseName: string, maxConns: number) => ({
    sql: {
      ...{ pluginName: 'postgres12', databaseName, connectAddr: `${hostname}:${sqlPort}`, connectProtocol: 'tcp' },
      ...{ user: username, password, maxConns, maxIdleConns: maxConns, maxConnLifetime: '1h' },
    },
  });
  const rpc = (part: (typeof parts)[number]) => ({
    grpcPort: part === 'frontend' ? port : ports[`${part}Grpc`],
    membershipPort: ports[`${part}Membership`],
    bindOnLocalHost: true,
    ...(part === 'frontend' && { httpPort: ports.http }),
  });
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      defaultStore: 'store',
      visibilityStore: 'visibility',
      numHistoryShards: HISTORY_SHARDS,
      datastores: { store: datastore('temporal', 40), visibility: datastore('temporal_visibility', 10) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: Object.fromEntries(parts.map((part) => [part, { rpc: rpc(part) }])),
    clusterMetadata: {
      ...{ enableGlobalNamespace: false, failoverVersionIncrement: 10, masterClusterName: 'active' },
      ...{ currentClusterName: 'active' },
      clusterInformation: {
        active: { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend', rpcAddress: `127.0.0.1:${port}` },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    dynamicConfigClient: { filepath: dynamicConfigFile, pollInterval: '10s' },
  };
}
