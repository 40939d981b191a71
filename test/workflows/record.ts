import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, hangUp, ok } from '../../src/dev/behaviours.ts';
import { runOfAction } from '../../src/domain/action.ts';
import { leaseWorkflowId, runActionWorkflowId, runWorkflowId } from '../../src/domain/workflow-id.ts';
import { actionThatIs, eventually, temporalOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { keep } from './histories.ts';

/**
 * Records the histories that `replay.test.ts` replays: `npm run record`, by hand, when a workflow may change its
 * commands (no release has open workflows that the change would break). Each is a run of the product as it now is.
 */
let world: World;
let client: Client;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
  client = temporalOf(world);
  await eventually(async () => {
    const { workflow_id } = await call(ok());
    const { searchAttributes } = await client.workflow.getHandle(workflow_id).describe();
    expect(searchAttributes).toHaveProperty('OnceOnlyTenant');
  });
});
afterAll(async () => {
  await client.connection.close();
  await world.close();
});

async function call(...[behaviour, fields]: Parameters<World['tool']> extends [string, ...infer Rest] ? Rest : never) {
  const [tool, agent] = [await world.tool('charge', behaviour, fields), unique('agent')];
  return (await world.run({ agent_id: agent, tool, args: { invoice: 789 }, spend_usd: 2 })).body;
}

const save = async (name: string, workflowId: string, runId?: string): Promise<void> =>
  keep(name, await client.workflow.getHandle(workflowId, runId).fetchHistory());

test.each([
  ['action-executed', ok(), {}],
  ['action-executed-slow', ok(), { timeout_ms: 60_000 }],
  ['action-failed', fail(400), {}],
  ['action-retried', fail(429, 1), {}],
])('%s', async (name, behaviour, fields) => {
  await save(name, (await call(behaviour, fields)).workflow_id);
});

/** Through REST a denial opens no workflow: a Temporal application's does. */
test('denials', async () => {
  const disabled = await world.tool('charge', ok(), { enabled: false });
  for (const [name, tool] of [
    ['action-blocked', disabled],
    ['action-unknown-tool', 'nothing'],
  ] as const) {
    const workflowId = `action/default/k:${unique('key')}`;
    const handle = await client.workflow.start('governedAction', {
      workflowId,
      taskQueue: world.env.TEMPORAL_TASK_QUEUE,
      args: [{ tenant: 'default', agent_id: unique('agent'), tool }],
    });
    await handle.result().catch(() => undefined);
    await save(name, workflowId);
  }
});

test('action-in-doubt, then resolved by an operator', async () => {
  const { action_id, workflow_id } = await call(hangUp('before_answer'));
  await world.rest.post(`/v1/actions/${action_id}/resolve`, { outcome: 'executed', result: { charge: 'ch_1' } });
  await save('action-in-doubt', workflow_id, runOfAction(action_id));
  await save('action-resolved-by-operator', workflow_id);
});

test('action-resolved-by-status-url', async () => {
  const status_url = world.receiver.endpoint('/status', () => ({ body: { status: 'not_executed' } }));
  const { action_id, workflow_id } = await call(hangUp('before_answer'), { status_url });
  await actionThatIs(world, action_id, 'failed');
  await eventually(async () =>
    expect((await client.workflow.getHandle(workflow_id).describe()).status.name).toBe('COMPLETED'),
  );
  await save('action-resolved-by-status-url', workflow_id);
});

test('action-resolved-by-asking', async () => {
  const { action_id, workflow_id } = await call((asked, n) => (n === 1 ? hangUp('before_answer') : ok())(asked, n), {
    idempotent: true,
    max_retries: 0,
  });
  await actionThatIs(world, action_id, 'executed');
  await client.workflow.getHandle(workflow_id).result();
  await save('action-resolved-by-asking', workflow_id);
});

test('leases', async () => {
  const names = ['completed', 'failed', 'canceled', 'expired', 'extended'].map((name) => ({ name, key: unique(name) }));
  const acquired = names.map(({ key }) =>
    world.rest.post('/v1/ai/lease', { key, owner: 'me', ttl: key.startsWith('expired') ? 10 : 600 }),
  );
  const leaseIds = (await Promise.all(acquired)).map(({ body }) => body.lease_id);
  for (const [i, { name, key }] of names.entries()) {
    const held = { key, lease_id: leaseIds[i] };
    if (name === 'completed' || name === 'extended') await acquireAgain(key);
    if (name === 'extended') await world.rest.post('/v1/ai/extend', held);
    if (name === 'completed' || name === 'extended')
      await world.rest.post('/v1/ai/complete', { ...held, result: { answer: 42 } });
    if (name === 'failed') await world.rest.post('/v1/ai/fail', { ...held, error_code: 'broken' });
    if (name === 'canceled') await world.rest.post('/v1/ai/cancel', held);
  }
  for (const { name, key } of names) {
    const handle = client.workflow.getHandle(leaseWorkflowId('default', key));
    await eventually(async () => expect((await handle.describe()).status.name).not.toBe('RUNNING'));
    await save(`lease-${name}`, handle.workflowId);
  }
});

/** As another application that asks the workflow itself. */
const acquireAgain = (key: string) =>
  client.workflow.executeUpdateWithStart('acquire', {
    args: [{ owner: 'another' }],
    startWorkflowOperation: new WithStartWorkflowOperation('lease', {
      workflowId: leaseWorkflowId('default', key),
      taskQueue: world.env.TEMPORAL_TASK_QUEUE,
      args: [{ key, ttl: 600, owner: 'another' }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    }),
  });

test('runs', async () => {
  const agent = unique('agent');
  await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: 1 });
  const [tool, doubtful] = [await world.tool('charge', ok()), await world.tool('charge', hangUp('before_answer'))];
  const runs: Array<[name: string, metadata: object]> = [
    ['completed', { actions: [{ tool }, { tool }] }],
    ['blocked', { actions: [{ tool, spend_usd: 2 }] }],
    ['unknown-tool', { actions: [{ tool: 'nothing' }] }],
    ['in-doubt', { actions: [{ tool: doubtful }] }],
    ['dry', { actions: [{ tool }], dry_run: true }],
  ];
  for (const [name, metadata] of runs) {
    const key = unique(name);
    await world.rest.post('/v1/ai/run', { key, metadata: { agent_id: agent, ...metadata } });
    const handle = client.workflow.getHandle(runWorkflowId('default', key));
    await handle.result();
    await save(`run-${name}`, handle.workflowId);
    if (name === 'in-doubt') await save('run-action-in-doubt', runActionWorkflowId('default', key, 1));
  }
});

test('approvals', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
  await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
  for (const how of ['approve', 'deny'] as const) {
    const { body } = await world.run({ agent_id: agent, tool, args: { how } });
    await world.rest.post(`/v1/approvals/${body.action_id.replace('act_', 'apr_')}/${how}`, {});
    const handle = client.workflow.getHandle(body.workflow_id);
    await handle.result();
    if (how === 'approve') await save('action-waiting', body.workflow_id, runOfAction(body.action_id));
    await save(how === 'approve' ? 'action-approved' : 'action-denied', body.workflow_id);
  }
});
