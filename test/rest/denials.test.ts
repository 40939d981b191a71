import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok, slow } from '../../src/dev/behaviours.ts';
import { actionThatIs, callsOf, eventually, temporalOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
});
afterAll(() => world.close());

async function hasWorkflow(workflowId: string): Promise<boolean> {
  const client = temporalOf(world);
  try {
    await client.workflow.getHandle(workflowId).describe();
    return true;
  } catch {
    return false;
  } finally {
    await client.connection.close();
  }
}

describe('a denial', () => {
  test('opens no workflow, and is on the record all the same', async () => {
    const [agent, tool, run] = [unique('agent'), await world.tool('charge', ok()), unique('run')];
    await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: 1 });
    const { status, body } = await world.run({ agent_id: agent, tool, args: {}, spend_usd: 2, run_id: run });
    expect([status, body.decision, body.policy_reason]).toEqual([200, 'blocked', 'max_spend_usd_per_day_exceeded']);
    expect(await hasWorkflow(body.workflow_id)).toBe(false);
    expect(await actionThatIs(world, body.action_id, 'blocked')).toMatchObject({ policy_version: 1, attempts: [] });
    const { items } = (await world.rest.get(`/v1/audit?agent_id=${agent}`)).body;
    expect(items[0]).toMatchObject({ type: 'action_blocked', action_id: body.action_id });
    const { events } = (await world.rest.get(`/v1/runs/${run}`)).body;
    expect(events.map(({ type }: { type: string }) => type)).toEqual(['run_started', 'tool_result', 'run_finished']);
    expect((await world.rest.get(`/v1/decisions/${body.action_id}/explain`)).body).toMatchObject({
      decision: 'blocked',
    });
  });

  test('needs no worker, nor does an unknown tool', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    await world.rest.post(`/v1/policies/${agent}`, { blocked_tools: [tool] });
    await world.kill('worker', 'SIGTERM');
    try {
      expect((await world.run({ agent_id: agent, tool })).body.policy_reason).toBe('tool_explicitly_blocked');
      expect((await world.run({ agent_id: agent, tool: 'nothing' })).body.detail.error).toBe('tool_not_found');
    } finally {
      await world.start('worker');
    }
  });

  test('is told to a disabled agent at once, also of a call that is remembered, and however short it waits', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    const call = { agent_id: agent, tool, args: {}, wait: 0 };
    await world.run({ ...call, wait: 30 });
    await world.rest.post(`/v1/agents/${agent}/disable`, {});
    expect((await world.run(call)).body).toMatchObject({ decision: 'blocked', policy_reason: 'agent_disabled' });
    await world.rest.post(`/v1/agents/${agent}/enable`, {});
    expect((await world.run(call)).body.decision).toBe('dedup');
    expect(callsOf(world, tool)).toHaveLength(1);
  });

  test('is not told to who joins a call that is under way, though that call has used up the limit', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', slow(600))];
    await world.rest.post(`/v1/policies/${agent}`, { max_actions_per_hour: 1 });
    const call = { agent_id: agent, tool, args: {} };
    const both = await Promise.all([world.run(call), world.run(call)]);
    expect(both.map(({ body }) => body.decision).sort()).toEqual(['dedup', 'executed']);
  });
});

test('every id that a caller is told can be read, also that of a repeat which met the end of the first call', async () => {
  const agent = unique('agent');
  const tool = await world.tool('charge', slow(20));
  const told = new Set<string>();
  await Promise.all(
    Array.from({ length: 30 }, async (_, n) => {
      for (let done = false; !done; ) {
        const { body } = await world.run({ agent_id: agent, tool, args: { n }, wait: 0 });
        told.add(body.action_id);
        done = body.decision === 'dedup';
      }
    }),
  );
  await eventually(async () => {
    for (const id of told) {
      const { status, body } = await world.rest.get(`/v1/actions/${id}`);
      expect([id, status, body.status]).toEqual([id, 200, 'executed']);
    }
  });
  expect(callsOf(world, tool)).toHaveLength(30);
});
