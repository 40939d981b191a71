import { connect } from 'node:net';
import { join } from 'node:path';
import { findProgram } from './find-program.ts';
import { freePort } from './ports.ts';
import { startService, untilReady } from './service.ts';

/** A running Redis of our own. It keeps nothing on disk: the product must not need it to. */
export interface Redis {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Where its log is kept, and the port it must have (else a free one). `environment.PATH` is searched for `redis-server`. */
export interface RedisOptions {
  readonly dataDir: string;
  readonly port?: number;
  readonly environment: Record<string, string | undefined>;
}

/** Starts a Redis for tests and benchmarks; undefined where `redis-server` is not installed. */
export async function startRedis({ dataDir, port, environment }: RedisOptions): Promise<Redis | undefined> {
  const program = findProgram('redis-server', environment.PATH);
  if (program === undefined) return undefined;
  const taken = await freePort({ port });
  const service = await startService({
    name: 'Redis',
    command: [program, '--bind', '127.0.0.1', '--port', String(taken), '--save', '', '--appendonly', 'no'],
    directory: join(dataDir, 'redis'),
    environment: { PATH: environment.PATH, LC_ALL: 'C' },
    stopSignal: 'SIGTERM',
  });
  await untilReady(service, () => answersPing(taken), 10);
  return { url: `redis://127.0.0.1:${taken}`, port: taken, pid: service.pid, stop: service.stop, kill: service.kill };
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 1_000 });
    const close = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => socket.write('PING\r\n'));
    socket.once('data', (data) => close(data.toString().startsWith('+PONG')));
    socket.once('error', () => close(false)).once('timeout', () => close(false));
  });
}
