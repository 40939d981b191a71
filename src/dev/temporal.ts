import { join } from 'node:path';
import { Connection, isGrpcServiceError } from '@temporalio/client';
import type { Progress } from './data-dir.ts';
import { freePort } from './ports.ts';
import { startService, untilReady } from './service.ts';
import { findTemporal } from './temporal-binary.ts';

/** A running Temporal dev server of our own. */
export interface Temporal {
  /** `host:port` of its frontend. */
  readonly address: string;
  readonly uiUrl: string;
  readonly port: number;
  readonly source: string;
  readonly pid: number;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Where its data is kept, and its ports: exactly `port`, or `preferredPort` if that is free, or any. */
export interface TemporalOptions {
  readonly dataDir: string;
  readonly port?: number;
  readonly preferredPort?: number;
  readonly preferredUiPort?: number;
  readonly namespace?: string;
  readonly environment: Record<string, string | undefined>;
  readonly progress: Progress;
}

const notFound = 5;

/** The dev server's defaults poll 20 times a second and allow a few hundred calls: each hop of a workflow would wait for that. */
const dynamicConfig = {
  'history.transferProcessorMaxPollRPS': 2_000,
  'history.timerProcessorMaxPollRPS': 2_000,
  'history.rps': 100_000,
  'matching.rps': 100_000,
  'frontend.rps': 100_000,
  'frontend.namespaceRPS': 100_000,
  // Tenants take turns in what waits.
  'matching.enableFairness': true,
};

/**
 * Starts Temporal's dev server with its data in `dataDir/temporal`, and waits until it serves.
 *
 * @throws {DirectoryTaken} while another live process runs one on the same data.
 */
export async function startTemporal(options: TemporalOptions): Promise<Temporal> {
  const { dataDir, environment, progress, namespace = 'default' } = options;
  const { file, source } = await findTemporal({ dataDir, environment, progress });
  const directory = join(dataDir, 'temporal');
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort({ port: options.port, preferred: options.preferredPort });
    const uiPort = await freePort({ preferred: options.preferredUiPort });
    const service = await launch(file, { directory, port, uiPort, namespace }, environment);
    try {
      await untilReady(service, () => serves(`127.0.0.1:${port}`, namespace), 60);
      progress(`Temporal: ${source} on 127.0.0.1:${port}`);
      const uiUrl = `http://localhost:${uiPort}`;
      const { pid, stop, kill } = service;
      return { address: `127.0.0.1:${port}`, uiUrl, port, source, pid, stop, kill };
    } catch (error) {
      // It takes four more free ports by itself, and another program may be quicker.
      if (attempt === 3 || !String(error).includes('address already in use')) throw error;
    }
  }
}

interface Place {
  readonly directory: string;
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
}

function launch(file: string, place: Place, { PATH, HOME, TMPDIR }: Record<string, string | undefined>) {
  return startService({
    name: 'Temporal',
    command: [file, ...flags(place)],
    directory: place.directory,
    environment: { PATH, HOME, TMPDIR, GOGC: '800' },
    stopSignal: 'SIGTERM',
  });
}

function flags(at: Place): readonly string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(at.port), '--ui-port', String(at.uiPort)],
    ...['--db-filename', join(at.directory, 'temporal.db'), '--namespace', at.namespace, '--log-level', 'warn'],
    ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=normal'],
    ...Object.entries(dynamicConfig).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
  ];
}

/** The frontend opens its port before the rest is up; a question about a workflow that never was reaches all of it. */
export async function serves(address: string, namespace: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: '1s' }).catch(() => undefined);
  if (connection === undefined) return false;
  try {
    const question = { namespace, execution: { workflowId: 'is-the-server-ready' } };
    const ask = () => connection.workflowService.describeWorkflowExecution(question);
    await connection.withDeadline(Date.now() + 2_000, ask);
    return true;
  } catch (error) {
    return isGrpcServiceError(error) && error.code === notFound && error.details.startsWith('workflow');
  } finally {
    await connection.close();
  }
}
