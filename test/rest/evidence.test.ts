import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hangUp, ok } from '../../src/dev/behaviours.ts';
import { eventually } from '../faults/scene.ts';
import { createRest, type Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

/** Somebody with a key of their own. */
async function person(scopes: string[]): Promise<{ id: string; rest: Rest }> {
  const { status, body } = await world.rest.post('/v1/keys', { name: unique('person'), scopes });
  expect(status).toBe(201);
  return { id: body.id, rest: createRest(world.rest.url, body.key) };
}

const linesOf = async (query: string): Promise<Array<Record<string, unknown>>> =>
  (await world.rest.get(`/v1/audit?${query}`)).body.items;
const call = (agent: string, tool: string, fields: object = {}) =>
  world.run({ agent_id: agent, tool, args: { n: unique('n') }, ...fields });

describe('what a switch blocks says who has turned it', () => {
  test('an agent’s, for what is asked anew and for what had waited', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
    const waits = await call(agent, tool);
    expect(waits.body.decision).toBe('pending');
    const [first, second] = [await person(['operator']), await person(['operator'])];
    await first.rest.post(`/v1/agents/${agent}/disable`, { reason: 'it loops' });
    // Who repeats it has not turned it.
    await second.rest.post(`/v1/agents/${agent}/disable`, { reason: 'still does' });
    expect((await call(agent, tool)).body.policy_reason).toBe('agent_disabled');
    await eventually(async () => {
      const blocked = await linesOf(`agent_id=${agent}&type=action_blocked`);
      const said = { policy_reason: 'agent_disabled', detail: { switched_by: first.id } };
      expect(blocked).toEqual([expect.objectContaining(said), expect.objectContaining(said)]);
    });
    await second.rest.post(`/v1/agents/${agent}/enable`, {});
    await second.rest.post(`/v1/agents/${agent}/disable`, {});
    await call(agent, tool);
    const [latest] = await linesOf(`agent_id=${agent}&type=action_blocked`);
    expect(latest?.detail).toEqual({ switched_by: second.id });
    const disabled = await linesOf(`agent_id=${agent}&type=agent_disabled`);
    expect(disabled.map(({ actor, reason }) => [actor, reason])).toEqual([
      [second.id, null],
      [second.id, 'still does'],
      [first.id, 'it loops'],
    ]);
  });

  test('a tool’s, and a tenant’s', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    const { id, rest } = await person(['operator']);
    const blockedBy = async () => {
      expect((await call(agent, tool)).body.policy_reason).toBe('killed');
      return (await linesOf(`agent_id=${agent}&type=action_blocked`))[0]?.detail;
    };
    await rest.post('/v1/kill', { scope: 'tool', tool });
    expect(await blockedBy()).toEqual({ switched_by: id });
    await world.rest.post('/v1/kill', { scope: 'tenant' });
    expect(await blockedBy()).not.toEqual({ switched_by: id });
    await world.rest.post('/v1/unkill', { scope: 'tenant' });
    await rest.post('/v1/unkill', { scope: 'tool', tool });
    expect((await call(agent, tool)).body.decision).toBe('executed');
  });
});

describe('a decision by a person', () => {
  test('is on the trail by the key, with whom they named and why', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
    const { body } = await call(agent, tool);
    const { id, rest } = await person(['operator']);
    const decision = { actor: 'ada@example.com', reason: 'seen the invoice' };
    const approval = `/v1/approvals/${body.action_id.replace('act_', 'apr_')}/approve`;
    expect((await rest.post(approval, decision)).status).toBe(200);
    expect(await linesOf(`agent_id=${agent}&type=approval_approved`)).toEqual([
      expect.objectContaining({
        actor: id,
        claimed_actor: 'ada@example.com',
        reason: 'seen the invoice',
        detail: null,
        tool_version: 1,
        action_id: body.action_id,
      }),
    ]);
  });

  test('on a doubt too', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', hangUp('before_answer'))];
    const { body } = await call(agent, tool);
    expect(body.decision).toBe('in_doubt');
    const { id, rest } = await person(['operator']);
    const said = { outcome: 'not_executed', reason: 'the provider has no such charge' };
    expect((await rest.post(`/v1/actions/${body.action_id}/resolve`, said)).status).toBe(200);
    const [line] = await linesOf(`agent_id=${agent}&type=action_failed`);
    expect(line).toMatchObject({ actor: id, reason: said.reason, action_id: body.action_id });
  });
});

describe('a line that says much', () => {
  test('is left out of a page of many, and whole by itself and in a stream', async () => {
    const agent = unique('agent');
    const conditions = Array.from({ length: 40 }, (_, n) => ({
      name: `c${n}`,
      expression: `args.note != "${'x'.repeat(400)}"`,
    }));
    expect((await world.rest.post(`/v1/policies/${agent}`, { conditions })).status).toBe(200);
    const query = `agent_id=${agent}&type=policy_set`;
    const [shown] = await linesOf(query);
    expect(shown?.detail).toEqual({ truncated: true, bytes: expect.any(Number) });
    const [whole] = await linesOf(`${query}&limit=1`);
    expect(JSON.stringify(whole?.detail)).toContain('x'.repeat(400));
    const stream = await fetch(`${world.rest.url}/v1/audit?${query}&format=ndjson`, {
      headers: { authorization: `Bearer ${world.rest.key}` },
    });
    expect(JSON.parse(await stream.text())).toEqual(whole);
  });

  test('is read a few at a time where such lines are many, and none is missed', async () => {
    const agent = unique('agent');
    await world.query(
      `insert into audit (tenant, type, agent_id, detail)
       select 'default', 'noted', $1, json_build_object('n', n, 'text', repeat('x', 1000000)) from generate_series(1, 12) n`,
      [agent],
    );
    const all = Array.from({ length: 12 }, (_, n) => n + 1);
    const stream = await fetch(`${world.rest.url}/v1/audit?agent_id=${agent}&format=ndjson`, {
      headers: { authorization: `Bearer ${world.rest.key}` },
    });
    const lines = (await stream.text()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).detail.n).sort((a, b) => a - b)).toEqual(all);
    for (const filter of ['', '&type=noted']) expect(await linesOf(`agent_id=${agent}${filter}`)).toHaveLength(12);
  });
});
