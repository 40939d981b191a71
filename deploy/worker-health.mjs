// A worker has no port: it is healthy while Temporal sees this very container polling for its task queue.
import { hostname } from 'node:os';
import { Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';

const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
const connection = await Connection.connect({ ...connectionOptions, connectTimeout: '3s' });
const name = process.env.TEMPORAL_TASK_QUEUE || 'onceonly';
const { pollers } = await connection.workflowService.describeTaskQueue({
  namespace,
  taskQueue: { name },
  taskQueueType: 1,
});
const [seconds] = pollers
  .filter(({ identity }) => identity.endsWith(`@${hostname()}`))
  .map(({ lastAccessTime }) => Date.now() / 1000 - Number(lastAccessTime.seconds))
  .sort((a, b) => a - b);
process.exit(seconds !== undefined && seconds < 90 ? 0 : 1);
