import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Postgres, startPostgres } from '../../src/dev/postgres.ts';
import { pidOf } from '../../src/dev/process-identity.ts';
import { type Redis, startRedis } from '../../src/dev/redis.ts';
import type { Temporal } from '../../src/dev/temporal.ts';
import { startTemporalOfShape } from './shape.ts';

interface Server {
  readonly port: number;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** A service of one test file's own, to be taken down and brought back on the same port. */
export interface Outage<Kind extends Server> {
  /** As first started; its URL or address stays true after every return. */
  readonly service: Kind;
  /** Its main process, while it is up. */
  pid(): Promise<number>;
  /** In good order, or with `crash` as a power cut would. */
  takeDown(how?: { crash: boolean }): Promise<void>;
  /** Resolves when it serves again, with the data it had (Redis: with none). */
  bringBack(): Promise<void>;
  /** Stops it for good and removes its data. */
  end(): Promise<void>;
}

const quiet = () => undefined;

/** A PostgreSQL of its own. */
export const privatePostgres = (): Promise<Outage<Postgres>> =>
  outage('postgres', (dataDir, port) => startPostgres({ dataDir, ...port, environment: process.env, progress: quiet }));

/** A Temporal of its own. */
export const privateTemporal = (): Promise<Outage<Temporal>> =>
  outage('temporal', (dataDir, port) =>
    startTemporalOfShape({ dataDir, ...port, environment: process.env, progress: quiet }),
  );

/**
 * A Redis of its own.
 *
 * @throws where `redis-server` is not installed.
 */
export const privateRedis = (): Promise<Outage<Redis>> =>
  outage('redis', async (dataDir, port) => {
    const redis = await startRedis({ dataDir, ...port, environment: process.env });
    if (redis === undefined) throw new Error('redis-server is not installed');
    return redis;
  });

type Start<Kind> = (dataDir: string, port: { port?: number }) => Promise<Kind>;

async function outage<Kind extends Server>(name: string, start: Start<Kind>): Promise<Outage<Kind>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'onceonly-outage-'));
  const service = await start(dataDir, {});
  let current: Kind | undefined = service;
  const takeDown = async ({ crash } = { crash: false }) => {
    await (crash ? current?.kill() : current?.stop());
    current = undefined;
  };
  return {
    service,
    // A service keeps its process file beside its data (src/dev/service.ts).
    pid: async () => pidOf(await readFile(join(dataDir, name, 'process'), 'utf8')),
    takeDown,
    bringBack: async () => {
      current ??= await start(dataDir, { port: service.port });
    },
    end: async () => {
      await takeDown();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
