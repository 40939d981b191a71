import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject } from 'vitest';
import { migrate } from '../../src/store/migrate.ts';

/** An environment for the product's processes; `ONCEONLY_BOOTSTRAP_KEY` is the API key to call them with. */
export interface ProductEnvironment extends Record<string, string> {
  DATABASE_URL: string;
  TEMPORAL_ADDRESS: string;
  TEMPORAL_TASK_QUEUE: string;
  ONCEONLY_BOOTSTRAP_KEY: string;
}

/**
 * A database with the product's schema, and a task queue, that nothing else uses, on the shared services. With `redis`, Redis takes the place of the twin inside
 * the process. Workflow ids are shared by all who share the Temporal server: give `tenant` or keys a name of the test's own.
 *
 * @throws when `redis` is asked for and not installed; see {@link hasRedis}.
 */
export async function freshEnvironment({ redis }: { redis: boolean }): Promise<ProductEnvironment> {
  const services = inject('services');
  if (redis && services.redisUrl === undefined) throw new Error('redis-server is not installed');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const databaseUrl = await createDatabase(services.databaseUrl, name);
  await migrate({ DATABASE_URL: databaseUrl });
  return {
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: services.temporalAddress,
    TEMPORAL_CONFIG_FILE: services.temporalConfigFile,
    TEMPORAL_UI_URL: services.temporalUiUrl,
    TEMPORAL_TASK_QUEUE: name,
    ONCEONLY_BOOTSTRAP_KEY: `once_live_${randomBytes(24).toString('base64url')}`,
    ONCEONLY_MASTER_KEY: randomBytes(32).toString('base64'),
    TOOL_ALLOWED_HOSTS: '127.0.0.0/8,::1,localhost',
    LOG_LEVEL: 'info',
    ...(redis && services.redisUrl !== undefined && { REDIS_URL: services.redisUrl }),
  };
}

/** Tells whether the shared services include Redis: `describe.skipIf(!hasRedis())`. */
export const hasRedis = (): boolean => inject('services').redisUrl !== undefined;

/** Makes an empty database on the server of `serverUrl` and answers its URL. */
export async function createDatabase(serverUrl: string, name: string): Promise<string> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
