import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentRunResult } from '../../src/contracts/agent-run.ts';
import { ok } from '../../src/dev/behaviours.ts';
import { runWorkflowId } from '../../src/domain/workflow-id.ts';
import { callsOf, gate, temporalOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { failureOf } from './failure.ts';
import { written } from './written.ts';

let world: World;
let client: Client;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
  client = temporalOf(world);
});
afterAll(async () => {
  await client.connection.close();
  await world.close();
});

const start = (key: string, input: unknown) =>
  client.workflow.start<(input: unknown) => Promise<AgentRunResult>>('agentRun', {
    workflowId: runWorkflowId('default', key),
    taskQueue: world.env.TEMPORAL_TASK_QUEUE,
    args: [input],
  });

describe('a run started by a Temporal application', () => {
  test('returns what REST then says of it', async () => {
    const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('charge', ok())];
    const handle = await start(key, { tenant: 'default', key, agent_id: agent, actions: [{ tool }, { tool }] });
    const { results, ...result } = await handle.result();
    expect(result).toMatchObject({ ok: true, status: 'completed', error_code: null });
    expect(results).toMatchObject([{ decision: 'executed' }, { decision: 'executed' }]);
    const { body } = await world.rest.get(`/v1/ai/result?key=${key}`);
    expect(body).toEqual(result);
    expect(body.result.actions).toEqual(results);
    // The same key through REST is the same run.
    expect((await world.rest.post('/v1/ai/run', { key })).body).toMatchObject({ status: 'completed', charged: 0 });
    expect(await (await start(key, { key })).result()).toMatchObject({ status: 'completed', results });
    expect(callsOf(world, tool)).toHaveLength(2);
  });

  test("makes each action under an ID of its own, which no caller's key can spell", async () => {
    const [key, agent, tool] = [unique('run'), unique('agent'), await world.tool('charge', ok())];
    const call = { agent_id: agent, tool, args: { n: 1 } };
    const first = await world.run({ ...call, idempotency_key: `${key}#1` });
    const { results } = await (
      await start(key, { key, agent_id: agent, actions: [{ tool, args: { n: 1 } }] })
    ).result();
    expect(first.body.decision).toBe('executed');
    expect(results).toMatchObject([{ decision: 'executed', workflow_id: `run-action/default/k:${key}/1` }]);
    expect(callsOf(world, tool)).toHaveLength(2);
  });

  test('that is canceled in Temporal finishes what is under way and begins nothing else', async () => {
    const [door, key, agent] = [gate(), unique('run'), unique('agent')];
    const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
    const handle = await start(key, { key, agent_id: agent, actions: [{ tool }, { tool }] });
    await door.arrived;
    await handle.cancel();
    door.open();
    await handle.result().catch(() => undefined);
    expect((await world.rest.get(`/v1/ai/status?key=${key}`)).body).toMatchObject({ error_code: 'canceled' });
    expect(callsOf(world, tool)).toHaveLength(1);
    expect((await world.rest.get(`/v1/actions?agent_id=${agent}`)).body.items).toMatchObject([{ status: 'executed' }]);
  });

  test.each<[string, unknown]>([
    ['nothing at all', undefined],
    ['NaN, as Python writes it,', written('{"key":"k","agent_id":"a","actions":[{"tool":"t","spend_usd":NaN}]}')],
    ['no key', {}],
    ['actions and no agent', { key: 'k', actions: [{ tool: 't' }] }],
    ['an action that is none', { key: 'k', agent_id: 'a', actions: [5] }],
    ['a tenant that cannot be', { key: 'k', tenant: 'No Tenant' }],
  ])('with %s fails at once, and says why', async (_what, input) => {
    const failure = await failureOf((await start(unique('malformed'), input)).result());
    expect(failure).toMatchObject({ type: 'validation_error', nonRetryable: true });
    expect(failure.message).not.toBe('validation_error');
  });
});
