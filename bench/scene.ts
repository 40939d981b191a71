import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { Pool } from 'undici';
import { readConfig } from '../src/config.ts';
import { ok } from '../src/dev/behaviours.ts';
import { freePort } from '../src/dev/ports.ts';
import { startReceiver } from '../src/dev/receiver.ts';
import { startRedis } from '../src/dev/redis.ts';
import { startStack } from '../src/dev/stack.ts';
import { migrate } from '../src/store/migrate.ts';
import { type Process, startBaseline, startProcess } from './processes.ts';

const SECRET = 'bench-secret-of-the-tool';
const KEY = 'once_live_bench_bench_bench';

export type Scene = Awaited<ReturnType<typeof buildScene>>;

/** Everything the rows are measured on: real services, the product as a process of its own, and the baselines. */
export async function buildScene(say: (line: string) => void) {
  const dataDir = await mkdtemp(join(tmpdir(), 'onceonly-bench-'));
  const stack = await startStack({ dataDir, environment: process.env, progress: say });
  const redis = await startRedis({ dataDir, environment: process.env });
  if (redis === undefined)
    say('redis-server is not installed: the product uses its twin, the Redis baseline is left out');
  const receiver = await startReceiver({ secret: SECRET, keepCalls: 10 });
  const toolUrl = receiver.endpoint('/charge', ok());
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    ...stack.environment,
    PORT: String(await freePort()),
    LOG_LEVEL: 'warn',
    ONCEONLY_BOOTSTRAP_KEY: KEY,
    ...(redis && { REDIS_URL: redis.url }),
  };
  await migrate(readConfig(env));
  await preparePlain(env.DATABASE_URL ?? '');

  const processes: Process[] = [await startProcess('all', env)];
  const product = processes[0] as Process;
  const { host } = new URL(toolUrl);
  processes.push(
    await startBaseline('worker', [env.TEMPORAL_ADDRESS ?? '', env.DATABASE_URL ?? '', `http://${host}`, SECRET]),
  );
  const expressPort = await freePort();
  if (redis) processes.push(await startBaseline('express-redis', [redis.url, String(expressPort)]));

  const api = new Pool(`http://127.0.0.1:${env.PORT}`, { connections: 64 });
  const bare = new Pool(`http://127.0.0.1:${expressPort}`, { connections: 64 });
  const connection = await Connection.connect({ address: env.TEMPORAL_ADDRESS ?? '' });
  const post = poster(api, { authorization: `Bearer ${KEY}` });
  await post('/v1/tools', {
    name: 'charge',
    url: toolUrl,
    auth: { type: 'hmac_sha256', secret: SECRET },
    price_usd: 0.01,
  });
  await post('/v1/policies/bench', { allowed_tools: ['charge'], max_spend_usd_per_day: 1_000_000 });

  return {
    post,
    bare: redis ? poster(bare, {}) : undefined,
    client: new Client({ connection }),
    receiver,
    product,
    async close() {
      await Promise.all([api.close(), bare.close(), connection.close()]);
      for (const running of processes) await running.stop();
      await receiver.close();
      await redis?.stop();
      await stack.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

type Post = (path: string, body: unknown) => Promise<Record<string, unknown>>;

const poster =
  (pool: Pool, headers: Record<string, string>): Post =>
  async (path, body) => {
    const answer = await pool.request({
      method: 'POST',
      path,
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const read = (await answer.body.json()) as Record<string, unknown>;
    if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode} ${JSON.stringify(read)}`);
    return read;
  };

async function preparePlain(databaseUrl: string): Promise<void> {
  const db = new pg.Client({ connectionString: databaseUrl });
  await db.connect();
  await db.query(`
    create table plain_policies (agent text primary key, allowed boolean not null);
    create table plain_budgets (agent text primary key, spent bigint not null);
    create table plain_outcomes (id bigserial primary key, agent text, invoice text, result jsonb);
    insert into plain_policies values ('bench', true);
    insert into plain_budgets values ('bench', 0);
  `);
  await db.end();
}
