import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startRedis } from '../../src/dev/redis.ts';
import { startStack } from '../../src/dev/stack.ts';
import { startTemporalOfShape } from './shape.ts';

/** The services that all test files share; each file makes a database and a task queue of its own there. */
export interface Services {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly temporalConfigFile: string;
  readonly temporalUiUrl: string;
  /** Absent where `redis-server` is not installed. */
  readonly redisUrl?: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    services: Services;
  }
}

/** Starts the real services once for the whole run, on free ports, with their data in a temporary directory. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'onceonly-test-'));
  const progress = (line: string) => void process.stdout.write(`${line}\n`);
  const environment = withoutServices(process.env);
  const remove = () => rm(dataDir, { recursive: true, force: true });
  try {
    const stack = await startStack({ dataDir, environment, progress, temporal: startTemporalOfShape });
    const redis = await startRedis({ dataDir, environment });
    progress(redis === undefined ? 'Redis for tests: redis-server is not installed' : `Redis for tests: ${redis.url}`);
    project.provide('services', {
      databaseUrl: stack.environment.DATABASE_URL ?? '',
      temporalAddress: stack.environment.TEMPORAL_ADDRESS ?? '',
      temporalConfigFile: stack.environment.TEMPORAL_CONFIG_FILE ?? '',
      temporalUiUrl: stack.environment.TEMPORAL_UI_URL ?? '',
      ...(redis && { redisUrl: redis.url }),
    });
    return async () => {
      await Promise.all([stack.stop(), redis?.stop()]);
      await remove();
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Tests make and break databases: never those that the shell happens to name. */
function withoutServices(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !/^(DATABASE_|REDIS_|TEMPORAL_|ONCEONLY_)/.test(name));
  return Object.fromEntries(kept);
}
