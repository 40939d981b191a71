// A child process: a worker of the two baseline workflows, as plain as the SDK's own samples.
import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import pg from 'pg';
import { Pool } from 'undici';
import { createPlainActivities } from './activities.ts';

const [address, databaseUrl, toolUrl, secret] = process.argv.slice(2) as [string, string, string, string];
Runtime.install({ logger: new DefaultLogger('WARN') });
const connection = await NativeConnection.connect({ address });
const db = new pg.Pool({ connectionString: databaseUrl, max: 16 });
const worker = await Worker.create({
  connection,
  taskQueue: 'bench-baseline',
  workflowsPath: fileURLToPath(new URL('./workflows.js', import.meta.url)),
  activities: createPlainActivities(db, new Pool(toolUrl, { connections: 64 }), secret),
  maxConcurrentWorkflowTaskExecutions: 200,
  workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
  activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
  nonStickyToStickyPollRatio: 0.8,
});
const running = worker.run();
process.send?.('ready');
await running;
process.exit(0);
