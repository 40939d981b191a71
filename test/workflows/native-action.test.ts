import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ActionAnswer } from '../../src/contracts/action.ts';
import { hangUp, ok } from '../../src/dev/behaviours.ts';
import { actionWorkflowId, derivedActionWorkflowId } from '../../src/domain/workflow-id.ts';
import { actionThatIs, callsOf, eventually, gate, holdAgent, ledgerOf, temporalOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { failureOf } from './failure.ts';
import { written } from './written.ts';

let world: World;
let client: Client;
let taskQueue: string;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
  client = temporalOf(world);
  taskQueue = world.env.TEMPORAL_TASK_QUEUE;
});
afterAll(async () => {
  await client.connection.close();
  await world.close();
});

/** The settlement answers a moment before its workflow closes, and until then the ID is taken. */
const start = (workflowId: string, input: unknown) =>
  eventually(() => client.workflow.start('governedAction', { workflowId, taskQueue, args: [input] }));
const resultOf = async (workflowId: string, input: unknown): Promise<ActionAnswer> =>
  (await start(workflowId, input)).result();

describe('an action started by a Temporal application', () => {
  test('is the same single effect as the same call through REST, under a derived and under an explicit key', async () => {
    const [tool, agent, key] = [await world.tool('charge', ok()), unique('agent'), unique('key')];
    const call = { agent_id: agent, tool, args: { invoice: 1 } };
    const derived = derivedActionWorkflowId('default', call);
    const first = await resultOf(derived, { tenant: 'default', ...call });
    expect(first).toMatchObject({ ok: true, decision: 'executed', workflow_id: derived });
    expect((await world.run(call)).body).toMatchObject({ decision: 'dedup', action_id: first.action_id });
    expect(await resultOf(derived, call)).toMatchObject({ decision: 'dedup', result: first.result });

    const named = { ...call, args: { invoice: 2 }, idempotency_key: key };
    const { body } = await world.run(named);
    expect(await resultOf(actionWorkflowId('default', key), named)).toMatchObject({
      decision: 'dedup',
      action_id: body.action_id,
    });
    expect(callsOf(world, tool)).toHaveLength(2);
  });

  test('is joined by the same call through REST while it is under way', async () => {
    const [door, agent] = [gate(), unique('agent')];
    // Called by an activity of its own: a query has to wait while a workflow task calls a quick tool.
    const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
    const call = { agent_id: agent, tool, args: {} };
    const handle = await start(derivedActionWorkflowId('default', call), call);
    await door.arrived;
    expect(await handle.query('state')).toMatchObject({ step: 'callTool', attempt: 1 });
    const joined = world.run(call);
    door.open();
    expect(await handle.result()).toMatchObject({ decision: 'executed' });
    expect((await joined).body.decision).toBe('dedup');
    expect(callsOf(world, tool)).toHaveLength(1);
  });

  test('under an ID of its own has that ID as its key', async () => {
    const [tool, id] = [await world.tool('charge', ok()), unique('nightly-charge')];
    const call = { agent_id: unique('agent'), tool, args: {} };
    const decisions = [await resultOf(id, call), await resultOf(id, call)].map(({ decision }) => decision);
    expect(decisions).toEqual(['executed', 'dedup']);
  });

  test('that is in doubt is resolved by an update, which has to be one', async () => {
    const [tool, agent] = [await world.tool('charge', hangUp('before_answer')), unique('agent')];
    const handle = await start(unique('doubt'), { agent_id: agent, tool, args: {}, spend_usd: 2 });
    await eventually(async () => expect(await handle.query('state')).toMatchObject({ step: 'in_doubt' }));
    const current = client.workflow.getHandle(handle.workflowId);
    for (const said of [
      undefined,
      {},
      { outcome: 'failed', actor: 'me' },
      { outcome: 'executed', result: [], actor: 'me' },
    ]) {
      const failure = await failureOf(current.executeUpdate('resolve', { args: [said] }));
      expect(failure.type).toBe('validation_error');
    }
    expect(await ledgerOf(world, agent)).toEqual({ held: 2, spent: 0 });
    const resolution = { outcome: 'executed', result: { charge: 'ch_1' }, actor: 'me', reason: 'it is in the ledger' };
    expect(await current.executeUpdate('resolve', { args: [resolution] })).toMatchObject({ decision: 'executed' });
    expect(await handle.result()).toMatchObject({ decision: 'executed', result: { charge: 'ch_1' } });
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
    const lines = await world.query(
      "select actor, detail from audit where agent_id = $1 and type = 'action_executed'",
      [agent],
    );
    expect(lines).toEqual([{ actor: 'temporal', detail: { claimed_actor: 'me', reason: 'it is in the ledger' } }]);
  });

  const good = { agent_id: 'agent', tool: 'tool', args: {} };
  test.each<[string, unknown]>([
    ['nothing at all', undefined],
    ['null', null],
    ['a list', []],
    ['no tool', { ...good, tool: undefined }],
    ['arguments that are a list', { ...good, args: [1] }],
    ['a tenant that cannot be', { ...good, tenant: 'No Tenant' }],
    ['a negative price', { ...good, spend_usd: -1 }],
    ['a run that is no text', { ...good, args: { run_id: 5 } }],
    ['a doubt of its own making', { in_doubt: { action_id: 'act_1', decision: 'in_doubt' } }],
  ])('with %s fails at once, and says why', async (_what, input) => {
    const failure = await failureOf(resultOf(unique('malformed'), input));
    expect(failure).toMatchObject({ type: 'validation_error', nonRetryable: true });
    expect(failure.message).not.toBe('validation_error');
  });

  test.each<[string, string, string]>([
    ['NaN, as Python writes it,', '{"agent_id":"a","tool":"t","args":{"amount":NaN}}', 'JSON decode error'],
    ['a number that is infinite', '{"agent_id":"a","tool":"t","args":{"amount":1e400}}', 'args.amount'],
    ['a member named twice', '{"agent_id":"a","tool":"t","tool":"u"}', 'tool'],
    ['NUL in a name', '{"agent_id":"a","tool":"t","args":{"\\u0000":1}}', 'args'],
    ['bytes that are no UTF-8', '{"agent_id":"caf\xe9","tool":"t"}', 'UTF-8'],
    ['no JSON', 'no json', 'JSON decode error'],
  ])('with %s fails at once, and names the place', async (_what, text, named) => {
    const failure = await failureOf(resultOf(unique('unreadable'), written(text)));
    expect(failure).toMatchObject({ type: 'validation_error', nonRetryable: true });
    expect(failure.message).toContain(named);
  });

  test('in an encoding that nobody knows fails at once', async () => {
    const failure = await failureOf(resultOf(unique('unreadable'), written('{}', 'binary/of-another')));
    expect([failure.type, failure.message]).toEqual(['validation_error', expect.stringContaining('binary/of-another')]);
  });

  test('in doubt refuses an argument that cannot be read, and goes on', async () => {
    const [tool, agent] = [await world.tool('charge', hangUp('before_answer')), unique('agent')];
    const handle = await start(unique('doubt'), { agent_id: agent, tool, args: {} });
    await eventually(async () => expect(await handle.query('state')).toMatchObject({ step: 'in_doubt' }));
    const current = client.workflow.getHandle(handle.workflowId);
    await current.signal('tellMe', written('{"workflowId":NaN}'));
    await current.signal('tellMe');
    const resolve = (said: unknown) => current.executeUpdate('resolve', { args: [said] });
    const failure = await failureOf(resolve(written('{"outcome":"executed","actor":"me","result":{"usd":NaN}}')));
    expect(failure.type).toBe('validation_error');
    expect(await resolve({ outcome: 'executed', actor: 'me' })).toMatchObject({ decision: 'executed' });
    expect(await handle.result()).toMatchObject({ decision: 'executed' });
  });

  test.each([
    ['of another tenant', actionWorkflowId('somebody', unique('key'))],
    ['of another call', derivedActionWorkflowId('default', { agent_id: 'agent', tool: 'other', args: {} })],
  ])('under an ID %s fails: nobody else may be answered with its outcome', async (_whose, id) => {
    expect((await failureOf(resultOf(id, good))).type).toBe('validation_error');
  });

  test('of an unknown tool fails as such', async () => {
    expect((await failureOf(resultOf(unique('unknown'), good))).type).toBe('tool_not_found');
  });
});

describe('a workflow that an operator terminates', () => {
  test('while its call is under way leaves a doubt: the call is not made again', async () => {
    const [door, agent] = [gate(), unique('agent')];
    const tool = await world.tool('charge', door.behaviour, { timeout_ms: 60_000 });
    const call = { agent_id: agent, tool, args: {}, spend_usd: 2 };
    const first = world.run(call);
    await door.arrived;
    await client.workflow.getHandle(derivedActionWorkflowId('default', call)).terminate('by the operator');
    // Its caller waits in vain, or hears of the reconciler's finding, if that comes round meanwhile.
    expect(['pending', 'in_doubt']).toContain((await first).body.decision);
    const { body } = await world.run(call);
    expect(body).toMatchObject({ decision: 'in_doubt' });
    expect(await ledgerOf(world, agent)).toEqual({ held: 2, spent: 0 });
    // The answer is only late: it settles the doubt, and is what a repeat gets.
    door.open();
    await actionThatIs(world, body.action_id, 'executed');
    expect((await world.run(call)).body).toMatchObject({ decision: 'dedup', action_id: body.action_id });
    expect(callsOf(world, tool)).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
  });

  test('after its admission and before its call leaves nothing: the money is free, the next call is made', async () => {
    const [tool, agent] = [await world.tool('charge', ok()), unique('agent')];
    await world.run({ agent_id: agent, tool, args: { first: true } });
    const row = await holdAgent(world, agent);
    const call = { agent_id: agent, tool, args: { invoice: 1 }, spend_usd: 2 };
    const first = world.run(call);
    await eventually(async () => expect(await row.waiting()).toBe(1));
    await world.kill('worker', 'SIGKILL');
    await row.dropWaiting();
    await client.workflow.getHandle(derivedActionWorkflowId('default', call)).terminate('by the operator');
    await row.release();
    const { action_id } = (await first).body;
    await world.start('worker');
    expect((await world.run(call)).body).toMatchObject({ decision: 'executed', spend_usd: 2 });
    await actionThatIs(world, action_id, 'failed');
    expect(callsOf(world, tool).filter(({ body }) => Object(body.args).invoice === 1)).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 2 });
  });
});
