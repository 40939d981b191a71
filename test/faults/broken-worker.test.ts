import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leaseWorkflowId } from '../../src/domain/workflow-id.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { eventually, temporalOf, untilAnswered } from './scene.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api'] });
});
afterAll(() => world.close());

/** A worker whose code cannot run a lease. */
async function brokenWorker() {
  // It fails in every way it can, and is to do so.
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const connection = await NativeConnection.connect({ address: world.env.TEMPORAL_ADDRESS });
  const worker = await Worker.create({
    connection,
    taskQueue: world.env.TEMPORAL_TASK_QUEUE,
    workflowsPath: fileURLToPath(new URL('broken-workflows.ts', import.meta.url)),
  });
  const ended = worker.run();
  return async () => {
    worker.shutdown();
    await ended;
    await connection.close();
  };
}

test('a lease that the workers cannot go on with is 503, and goes on once they can', async () => {
  const [client, stop, key] = [temporalOf(world), await brokenWorker(), unique('key')];
  const acquire = () => world.rest.post('/v1/ai/lease', { key, owner: 'me' });
  const first = acquire();
  const handle = client.workflow.getHandle(leaseWorkflowId('default', key));
  await eventually(async () => {
    const { raw } = await handle.describe();
    expect(raw.pendingWorkflowTask?.attempt).toBeGreaterThanOrEqual(3);
  });
  for (const { status, headers, body } of [await first, await acquire()]) {
    expect([status, body.detail.error]).toEqual([503, 'unavailable']);
    expect(headers.has('retry-after')).toBe(true);
  }
  await stop();
  await world.start('worker');
  expect((await untilAnswered(acquire)).body).toMatchObject({ status: 'acquired', fence: 1 });
  await client.connection.close();
});
