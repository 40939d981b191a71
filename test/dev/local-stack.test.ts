import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { Client as Database } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startPostgres } from '../../src/dev/postgres.ts';
import { startStack } from '../../src/dev/stack.ts';
import { createDatabase, hasRedis } from '../stack/environment.ts';
import { privatePostgres, privateRedis, privateTemporal } from '../stack/outage.ts';

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Database({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

describe('a data directory', () => {
  let dataDir: string;
  const lines: string[] = [];
  const options = () => ({
    dataDir,
    environment: { PATH: process.env.PATH },
    progress: (line: string) => lines.push(line),
  });
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'onceonly-dev-'));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  test('has one owner, and the second is told who that is', async () => {
    const first = await startPostgres(options());
    await expect(startPostgres(options())).rejects.toThrow(`is in use by process ${process.pid}`);
    await first.stop();
    const second = await startPostgres(options());
    await second.stop();
  });

  test('keeps its secrets to its owner, and its data from one start to the next', async () => {
    const services = { ...options().environment, TEMPORAL_ADDRESS: '127.0.0.1:1' };
    const first = await startStack({ ...options(), environment: services });
    await query(first.environment.DATABASE_URL ?? '', 'create table kept as select 1 as one');
    await expect(startStack({ ...options(), environment: services })).rejects.toThrow('is in use by process');
    await first.stop();
    const second = await startStack({ ...options(), environment: services });
    expect(await query(second.environment.DATABASE_URL ?? '', 'select one from kept')).toEqual([{ one: 1 }]);
    expect(second.environment).toMatchObject({
      ONCEONLY_MASTER_KEY: first.environment.ONCEONLY_MASTER_KEY,
      TEMPORAL_ADDRESS: '127.0.0.1:1',
      TOOL_ALLOWED_HOSTS: '127.0.0.0/8,::1,localhost',
    });
    expect(second.sources).toEqual({
      postgres: 'embedded PostgreSQL (npm)',
      temporal: 'TEMPORAL_ADDRESS',
      redis: 'in-process twin',
    });
    expect(lines).toContain('Temporal: the one that TEMPORAL_ADDRESS names');
    await second.stop();
    for (const file of ['master-key', 'postgres/password']) {
      expect((await stat(join(dataDir, file))).mode & 0o077).toBe(0);
    }
  });
});

describe('a service that crashes comes back on its port with what it had', () => {
  test('PostgreSQL', async () => {
    const postgres = await privatePostgres();
    const url = await createDatabase(postgres.service.url, 'own');
    await query(url, 'create table kept as select 1 as one');
    await postgres.takeDown({ crash: true });
    await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED');
    await postgres.bringBack();
    expect(await query(url, 'select one from kept')).toEqual([{ one: 1 }]);
    await postgres.end();
  });

  test('Temporal', async () => {
    const temporal = await privateTemporal();
    const start = { workflowId: 'kept', taskQueue: 'nobody-listens' };
    await withTemporal(temporal.service.address, (client) => client.workflow.start('anything', start));
    await temporal.takeDown({ crash: true });
    await expect(withTemporal(temporal.service.address, async () => undefined)).rejects.toThrow();
    await temporal.bringBack();
    const found = await withTemporal(temporal.service.address, (client) =>
      client.workflow.getHandle('kept').describe(),
    );
    expect(found.status.name).toBe('RUNNING');
    await temporal.end();
  });

  test.skipIf(!hasRedis())('Redis, with nothing', async () => {
    const redis = await privateRedis();
    await redis.takeDown({ crash: true });
    await redis.bringBack();
    await redis.end();
  });
});

async function withTemporal<Answer>(address: string, use: (client: Client) => Promise<Answer>): Promise<Answer> {
  const connection = await Connection.connect({ address, connectTimeout: '2s' });
  try {
    return await use(new Client({ connection }));
  } finally {
    await connection.close();
  }
}
