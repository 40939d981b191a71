import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { leaseWorkflowId, runWorkflowId } from '../../src/domain/workflow-id.ts';
import { eventually, temporalOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
let client: Client;
let taskQueue: string;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
  client = temporalOf(world);
  taskQueue = world.env.TEMPORAL_TASK_QUEUE;
  await eventually(async () => {
    const workflowId = unique('first');
    const failed = client.workflow.execute('governedAction', {
      workflowId,
      taskQueue,
      args: [{ agent_id: 'a', tool: 'nothing' }],
    });
    await failed.catch(() => undefined);
    expect(await attributesOf(workflowId)).toHaveProperty('OnceOnlyAgent');
  });
});
afterAll(async () => {
  await client.connection.close();
  await world.close();
});

/** Those of the product; Temporal has its own. */
const attributesOf = async (workflowId: string): Promise<Record<string, unknown>> => {
  const { searchAttributes } = await client.workflow.getHandle(workflowId).describe();
  return Object.fromEntries(Object.entries(searchAttributes).filter(([name]) => name.startsWith('OnceOnly')));
};

const foundBy = async (query: string): Promise<string[]> => {
  const ids = [];
  for await (const { workflowId } of client.workflow.list({ query })) ids.push(workflowId);
  return ids.sort();
};

const call = (input: object, options: object = {}) => {
  const workflowId = unique('native');
  const result = client.workflow.execute('governedAction', { workflowId, taskQueue, args: [input], ...options });
  return result.catch(() => undefined).then(() => workflowId);
};

test('an action that an application has started is found by its agent, its tool and its tenant, as one through REST is', async () => {
  const [agent, tool, failing] = [
    unique('agent'),
    await world.tool('charge', ok()),
    await world.tool('bad', fail(400)),
  ];
  const ids = [
    await call({ agent_id: agent, tool }),
    await call({ agent_id: agent, tool: failing }),
    await call({ agent_id: agent, tool: 'nothing' }),
    (await world.run({ agent_id: agent, tool, args: { through: 'REST' } })).body.workflow_id,
  ];
  await eventually(async () => expect(await foundBy(`OnceOnlyAgent = "${agent}"`)).toEqual([...ids].sort()));
  expect(await foundBy(`OnceOnlyAgent = "${agent}" and OnceOnlyTool = "${failing}"`)).toEqual([ids[1]]);
  expect(await attributesOf(ids[0] as string)).toMatchObject({ OnceOnlyTenant: ['default'], OnceOnlyTool: [tool] });
  // What went wrong is marked.
  expect(await attributesOf(ids[1] as string)).toMatchObject({ OnceOnlyStatus: ['failed'] });
});

test('by the name that the agent is kept under', async () => {
  const agent = unique('ag\u0065\u0301nt');
  const id = await call({ agent_id: agent, tool: await world.tool('charge', ok()) });
  expect(await attributesOf(id)).toMatchObject({ OnceOnlyAgent: [agent.normalize('NFC')] });
});

test('what its starter has said stays, and the rest is added', async () => {
  const searchAttributes = { OnceOnlyAgent: ['of the application'] };
  const id = await call({ agent_id: unique('agent'), tool: await world.tool('charge', ok()) }, { searchAttributes });
  expect(await attributesOf(id)).toMatchObject({
    OnceOnlyAgent: ['of the application'],
    OnceOnlyTenant: ['default'],
    OnceOnlyTool: [expect.stringContaining('charge')],
  });
});

test('an input that cannot be read marks nothing', async () => {
  expect(await attributesOf(await call({ agent_id: 'a' }))).toEqual({});
});

test('a run and its actions', async () => {
  const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('charge', ok())];
  const workflowId = runWorkflowId('default', key);
  const args = [{ key, agent_id: agent, actions: [{ tool }, { tool }] }];
  await client.workflow.execute('agentRun', { workflowId, taskQueue, args });
  const ids = [workflowId, `run-action/default/k:${key}/1`, `run-action/default/k:${key}/2`];
  await eventually(async () => expect(await foundBy(`OnceOnlyAgent = "${agent}"`)).toEqual(ids.sort()));
});

test('a lease', async () => {
  const key = unique('lease');
  const workflowId = leaseWorkflowId('default', key);
  await client.workflow.executeUpdateWithStart('acquire', {
    args: [{ owner: 'me' }],
    startWorkflowOperation: new WithStartWorkflowOperation('lease', {
      workflowId,
      taskQueue,
      args: [{ key, ttl: 60, owner: 'me' }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    }),
  });
  expect(await attributesOf(workflowId)).toEqual({ OnceOnlyTenant: ['default'] });
});
