import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMemoryLockCache } from '../../src/cache/lock-cache.ts';
import { selfHosted } from '../../src/domain/plan.ts';
import { openClient, temporalConfig } from '../../src/engine/connection.ts';
import { createLocks } from '../../src/engine/locks.ts';
import { createSearchAttributes } from '../../src/engine/search-attributes.ts';
import { createServerClock } from '../../src/engine/server-clock.ts';
import { createStarter } from '../../src/engine/start.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { freshEnvironment } from '../stack/environment.ts';
import { unique } from '../stack/world.ts';

let client: ReturnType<typeof openClient>;
let taskQueue: string;
beforeAll(async () => {
  const env = await freshEnvironment({ redis: false });
  client = openClient(temporalConfig(env));
  taskQueue = env.TEMPORAL_TASK_QUEUE;
});
afterAll(() => client.connection.close());

/** An API whose first audit line is refused when the test says so; `asked` resolves when that line is to be written. */
function apiWithoutItsFirstLine() {
  let [asks, refuse, lines] = [() => {}, (_: Error) => {}, 0];
  const asked = new Promise<void>((resolve) => {
    asks = resolve;
  });
  const refused = new Promise<void>((_, reject) => {
    refuse = reject;
  });
  const record = (): Promise<void> => {
    lines += 1;
    if (lines > 1) return Promise.resolve();
    asks();
    return refused;
  };
  const start = createStarter({
    client,
    taskQueue,
    attributes: createSearchAttributes(),
    clock: createServerClock(),
  });
  const recorder = { record, drained: () => Promise.resolve() };
  const locks = createLocks({ start, client, cache: createMemoryLockCache(), recorder, metrics: createMetrics() });
  return { locks, asked, refuse: () => refuse(new Error('the database is away')) };
}

const asked = (key: string, owner?: string) => ({
  tenant: 'default',
  actor: 'test',
  plan: selfHosted,
  key,
  ttl: 60,
  ...(owner && { owner }),
});

test('a lock that could not be written down is free again', async () => {
  const [{ locks, refuse, ...first }, key] = [apiWithoutItsFirstLine(), unique('key')];
  const lost = locks.check(asked(key)).catch((error: Error) => error.message);
  await first.asked;
  refuse();
  expect(await lost).toBe('unavailable');
  expect(await locks.check(asked(key))).toMatchObject({ status: 'locked' });
});

test('a lock that its owner heard of by a repeat stays, though the first request could not write it down', async () => {
  const [{ locks, refuse, ...first }, key] = [apiWithoutItsFirstLine(), unique('key')];
  const lost = locks.check(asked(key, 'me')).catch((error: Error) => error.message);
  await first.asked;
  expect(await locks.check(asked(key, 'me'))).toMatchObject({ status: 'locked' });
  refuse();
  expect(await lost).toBe('outcome_unknown');
  expect(await locks.check(asked(key, 'other'))).toMatchObject({ status: 'duplicate' });
});
