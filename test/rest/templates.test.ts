import { afterAll, beforeAll, expect, test } from 'vitest';
import { PolicyTemplate, toolsNamedIn } from '../../src/contracts/policy.ts';
import { ok } from '../../src/dev/behaviours.ts';
import { templates } from '../../src/domain/templates.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const from = (agent: string, body: object) => world.rest.post(`/v1/policies/${agent}/from-template`, body);

test.each(PolicyTemplate.options)('%s is stored as a policy like any other, and names no tool', async (template) => {
  const agent = unique('agent');
  const { status, body } = await from(agent, { agent_id: agent, template, overrides: {} });
  const policy = { ...templates[template], ...(template === 'read_only' && { max_actions_per_hour: 0 }) };
  expect([status, body]).toEqual([200, { agent_id: agent, policy, policy_version: 1 }]);
  expect(toolsNamedIn(body.policy)).toEqual([]);
  expect((await world.rest.get(`/v1/policies/${agent}`)).body).toEqual(body);
});

test('each override takes the place of the template’s own field', async () => {
  const tool = await world.tool('lookup', ok());
  const agent = unique('agent');
  const overrides = { max_actions_per_hour: 0, allowed_tools: [tool], max_spend_usd_per_day: null, whatever: 1 };
  const { body } = await from(agent, { template: 'moderate', overrides });
  expect(body.policy).toEqual({ max_actions_per_hour: 0, max_spend_usd_per_day: 50, allowed_tools: [tool] });
  const blocked = await world.run({ agent_id: agent, tool });
  expect(blocked.body).toMatchObject({ policy_reason: 'max_actions_per_hour_exceeded', policy_version: 1 });
});

test('a template replaces the policy before it, as its next version', async () => {
  const tool = await world.tool('lookup', ok());
  const agent = unique('agent');
  await world.rest.post(`/v1/policies/${agent}`, { blocked_tools: [tool] });
  const { body } = await from(agent, { template: 'strict' });
  expect(body).toEqual({ agent_id: agent, policy: templates.strict, policy_version: 2 });
});

test('read_only lets free calls of the tools through that it names, and nothing else', async () => {
  const [tool, other] = [await world.tool('lookup', ok()), await world.tool('write', ok())];
  const agent = unique('agent');
  await from(agent, { template: 'read_only', overrides: { allowed_tools: [tool] } });
  expect((await world.run({ agent_id: agent, tool })).body.decision).toBe('executed');
  const paid = await world.run({ agent_id: agent, tool, args: { n: 2 }, spend_usd: 0.01 });
  expect(paid.body.policy_reason).toBe('max_spend_usd_per_day_exceeded');
  expect((await world.run({ agent_id: agent, tool: other })).body.policy_reason).toBe('tool_not_in_allowed_list');
});

test.each([[undefined], [{}], [{ allowed_tools: [] }], [{ allowed_tools: null }], [{ max_actions_per_hour: 500 }]])(
  'read_only with %j names no tool, and lets nothing through',
  async (overrides) => {
    const [agent, tool] = [unique('agent'), await world.tool('lookup', ok())];
    expect((await from(agent, { template: 'read_only', overrides })).status).toBe(200);
    expect((await world.run({ agent_id: agent, tool })).body.decision).toBe('blocked');
  },
);

test('unknown tools in the overrides are named, and nothing is stored', async () => {
  const agent = unique('agent');
  const { status, body } = await from(agent, { template: 'strict', overrides: { blocked_tools: ['none-such'] } });
  expect([status, body.detail.error, body.detail.tools]).toEqual([400, 'unknown_tools', ['none-such']]);
  expect((await world.rest.get(`/v1/policies/${agent}`)).status).toBe(404);
});

test.each([
  [{}, 'template'],
  [{ template: 'lax' }, 'template'],
  [{ template: 'strict', agent_id: 'another' }, 'agent_id'],
  [{ template: 'strict', overrides: { max_actions_per_hour: -1 } }, 'overrides'],
])('%j is refused', async (request, field) => {
  const { status, body } = await from(unique('agent'), request);
  expect([status, body.detail[0].loc[1]]).toEqual([422, field]);
});
