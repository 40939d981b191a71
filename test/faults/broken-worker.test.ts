import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leaseWorkflowId } from '../../src/domain/workflow-id.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { eventually, temporalOf } from './scene.ts';

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

test('a lease is held and ended by its row, also while the workers cannot go on with its workflow, which goes on once they can', async () => {
  const [client, stop, key] = [temporalOf(world), await brokenWorker(), unique('key')];
  const acquire = (owner: string) => world.rest.post('/v1/ai/lease', { key, owner });
  const { body: mine } = await acquire('me');
  expect(mine).toMatchObject({ status: 'acquired', fence: 1 });
  const handle = client.workflow.getHandle(leaseWorkflowId('default', key));
  await eventually(async () => {
    const { raw } = await handle.describe();
    expect(raw.pendingWorkflowTask?.attempt).toBeGreaterThanOrEqual(3);
  });
  expect((await acquire('me')).body).toMatchObject({ status: 'acquired', lease_id: mine.lease_id });
  expect((await acquire('other')).body).toMatchObject({ status: 'polling', lease_id: null });
  const held = { key, lease_id: mine.lease_id };
  expect((await world.rest.post('/v1/ai/extend', held)).body).toMatchObject({ status: 'extended', version: 2 });
  expect((await world.rest.post('/v1/ai/cancel', held)).body).toMatchObject({
    status: 'failed',
    error_code: 'canceled',
  });
  // Its workflow is open still, and minds the next lease as well.
  expect((await acquire('other')).body).toMatchObject({ status: 'acquired', fence: 2 });
  await stop();
  await world.start('worker');
  const { body: other } = await acquire('other');
  await world.rest.post('/v1/ai/complete', { key, lease_id: other.lease_id, result: { done: true } });
  await eventually(async () => expect((await handle.describe()).status.name).toBe('COMPLETED'));
  await client.connection.close();
});
