// A child process: the steps of a governed action as a DBOS workflow of four steps, behind Express, on the same PostgreSQL server.
import { DBOS } from '@dbos-inc/dbos-sdk';
import express from 'express';
import pg from 'pg';
import { Pool } from 'undici';
import { createPlainActivities } from './activities.ts';

const [databaseUrl, systemUrl, toolUrl, secret, port] = process.argv.slice(2) as [string, ...string[]];
const db = new pg.Pool({ connectionString: databaseUrl, max: 16 });
const tool = new Pool(toolUrl ?? '', { connections: 64 });
const { checkPolicy, reserveBudget, recordOutcome, callTool } = createPlainActivities(db, tool, secret ?? '');

DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: systemUrl ?? '',
  // As many connections as the product may have for each of its two kinds of work.
  systemDatabasePoolSize: 16,
  logLevel: 'error',
});

const governed = DBOS.registerWorkflow(
  async (call: { agent: string; invoice: string }) => {
    const verdict = await DBOS.runStep(() => checkPolicy(call), { name: 'checkPolicy' });
    if (!verdict.allowed) return { decision: 'blocked' };
    await DBOS.runStep(() => reserveBudget(call), { name: 'reserveBudget' });
    await DBOS.runStep(() => recordOutcome(call, null), { name: 'recordDecision' });
    const result = await DBOS.runStep(() => callTool(call), { name: 'callTool' });
    return { decision: 'executed', result };
  },
  { name: 'governed' },
);
await DBOS.launch();

const app = express();
app.disable('x-powered-by');
app.use(express.json());
app.post('/run', async (request, response) => {
  const { agent, invoice } = request.body;
  const handle = await DBOS.startWorkflow(governed, { workflowID: invoice })({ agent, invoice });
  response.json(await handle.getResult());
});
app.listen(Number(port), '127.0.0.1', () => process.send?.('ready'));
process.on('SIGTERM', () => void DBOS.shutdown().finally(() => process.exit(0)));
