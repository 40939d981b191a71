import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { Pool } from 'undici';
import { readConfig } from '../src/config.ts';
import { freePort } from '../src/dev/ports.ts';
import { startRedis } from '../src/dev/redis.ts';
import { startStack } from '../src/dev/stack.ts';
import { startTemporal } from '../src/dev/temporal.ts';
import { startTemporalServer } from '../src/dev/temporal-server.ts';
import { migrate } from '../src/store/migrate.ts';
import { type Usage, usageOf } from './cpu.ts';
import { prepareDatabases } from './databases.ts';
import { type Process, startBeside, startProcess } from './processes.ts';

const SECRET = 'bench-secret-of-the-tool';
const KEY = 'once_live_bench_bench_bench';
/** As many as the most callers of a row: none waits for a connection. */
const CONNECTIONS = 300;

export type Scene = Awaited<ReturnType<typeof buildScene>>;
export type Post = (path: string, body: unknown, status?: number) => Promise<Record<string, unknown>>;

export interface SceneOptions {
  readonly say: (line: string) => void;
  /** Where the product's CPU profile goes, if there is to be one. */
  readonly profile?: string | undefined;
}

/** Everything the rows are measured on: real services, the product, the tool and the baselines, each a process of its own. */
export async function buildScene({ say, profile }: SceneOptions) {
  const dataDir = await mkdtemp(join(tmpdir(), 'onceonly-bench-'));
  // The shape of a deployment has Temporal's server in the place of its dev server (scripts/deployment.sh).
  const temporal = process.env.TEST_SHAPE === 'deployment' ? startTemporalServer : startTemporal;
  const stack = await startStack({ dataDir, environment: process.env, progress: say, temporal });
  const redis = await startRedis({ dataDir, environment: process.env });
  if (redis === undefined)
    say('redis-server is not installed: the product uses its twin, the Redis baseline is left out');
  const { DATABASE_URL: databaseUrl = '', TEMPORAL_ADDRESS: address = '' } = stack.environment;
  const [port, toolPort, expressPort, dbosPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const toolUrl = `http://127.0.0.1:${toolPort}`;
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    ...stack.environment,
    PORT: String(port),
    LOG_LEVEL: 'error',
    ONCEONLY_BOOTSTRAP_KEY: KEY,
    ...(redis && { REDIS_URL: redis.url }),
  };
  await migrate(readConfig(env));
  const dbosUrl = await prepareDatabases(databaseUrl);

  const running: Process[] = [];
  const keep = async (starting: Promise<Process>): Promise<number> => {
    const one = await starting;
    running.push(one);
    return one.pid;
  };
  const pids = {
    product: await keep(startProcess('all', env, profile)),
    tool: await keep(startBeside('receiver', [SECRET, String(toolPort)])),
    worker: await keep(startBeside('baselines/worker', [address, databaseUrl, toolUrl, SECRET])),
    dbos: await keep(startBeside('baselines/dbos', [databaseUrl, dbosUrl, toolUrl, SECRET, String(dbosPort)])),
    ...(redis && { express: await keep(startBeside('baselines/express-redis', [redis.url, String(expressPort)])) }),
    Temporal: stack.pids.temporal,
    PostgreSQL: stack.pids.postgres,
    ...(redis && { Redis: redis.pid }),
    load: process.pid,
  };

  const pools: Pool[] = [];
  const poster = (to: number, headers: Record<string, string>): Post => {
    const pool = new Pool(`http://127.0.0.1:${to}`, { connections: CONNECTIONS });
    pools.push(pool);
    return posting(pool, headers);
  };
  const post = poster(port, { authorization: `Bearer ${KEY}` });
  const connection = await Connection.connect({ address });
  await post('/v1/tools', {
    name: 'charge',
    url: `${toolUrl}/charge`,
    auth: { type: 'hmac_sha256', secret: SECRET },
    price_usd: 0.01,
  });
  await post('/v1/policies/bench', { allowed_tools: ['charge'], max_spend_usd_per_day: 1_000_000 });
  await post('/v1/policies/bench-blocked', { blocked_tools: ['charge'] });
  await post('/v1/policies/bench-disabled', { allowed_tools: ['charge'] });
  await post('/v1/agents/bench-disabled/disable', {});

  return {
    post,
    bare: redis ? poster(expressPort, {}) : undefined,
    dbos: poster(dbosPort, {}),
    client: new Client({ connection }),
    pids,
    databaseUrl,
    usage: (): Promise<Usage> => usageOf(pids),
    async close() {
      await Promise.all([...pools.map((pool) => pool.close()), connection.close()]);
      for (const one of running) await one.stop();
      await redis?.stop();
      await stack.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

const posting =
  (pool: Pool, headers: Record<string, string>): Post =>
  async (path, body, status = 200) => {
    const answer = await pool.request({
      method: 'POST',
      path,
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const read = (await answer.body.json()) as Record<string, unknown>;
    if (answer.statusCode !== status) throw new Error(`${path}: ${answer.statusCode} ${JSON.stringify(read)}`);
    return read;
  };
