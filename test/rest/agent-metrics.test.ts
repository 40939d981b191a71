import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const metricsOf = async (agent: string, period?: string) =>
  (await world.rest.get(`/v1/agents/${agent}/metrics${period === undefined ? '' : `?period=${period}`}`)).body;
const age = (agent: string, tool: string, interval: string) =>
  world.query('update actions set created_at = created_at - $3::interval where agent_id = $1 and tool = $2', [
    agent,
    tool,
    interval,
  ]);

test('an agent that nobody knows has zeros', async () => {
  const agent = unique('agent');
  const nothing = { total_actions: 0, blocked_actions: 0, total_spend_usd: 0, top_tools: [] };
  expect(await metricsOf(agent)).toEqual({ agent_id: agent, period: 'day', ...nothing });
});

test('counts blocked and failed calls but no repeats, and the money that was spent', async () => {
  const [paid, failing] = [await world.tool('paid', ok(), { price_usd: 0.1 }), await world.tool('failing', fail(400))];
  const agent = unique('agent');
  await world.rest.post(`/v1/policies/${agent}`, { max_calls_per_tool: { [paid]: 3 } });
  for (const n of [1, 2, 3, 3, 4, 5]) await world.run({ agent_id: agent, tool: paid, args: { n } });
  await world.run({ agent_id: agent, tool: failing, spend_usd: 7 });
  await world.run({ agent_id: agent, tool: 'nobody-knows-it' });
  expect(await metricsOf(agent, 'hour')).toEqual({
    agent_id: agent,
    period: 'hour',
    total_actions: 6,
    blocked_actions: 2,
    total_spend_usd: 0.3,
    top_tools: [
      { tool: paid, count: 5 },
      { tool: failing, count: 1 },
    ],
  });
});

test('looks back an hour, a day or a week from now', async () => {
  const [recent, earlier, old] = [
    await world.tool('recent', ok()),
    await world.tool('earlier', ok()),
    await world.tool('old', ok()),
  ];
  const agent = unique('agent');
  for (const tool of [recent, earlier, old]) await world.run({ agent_id: agent, tool, spend_usd: 1 });
  await age(agent, earlier, '23 hours');
  await age(agent, old, '6 days 23 hours');
  const totals = [];
  for (const period of ['hour', 'day', 'week']) totals.push((await metricsOf(agent, period)).total_spend_usd);
  expect(totals).toEqual([1, 2, 3]);
});

test('names the ten most used tools at the most', async () => {
  const agent = unique('agent');
  for (let n = 0; n < 11; n += 1) {
    const tool = await world.tool('many', ok());
    for (let call = 0; call <= (n === 7 ? 1 : 0); call += 1) await world.run({ agent_id: agent, tool, args: { call } });
  }
  const { total_actions, top_tools } = await metricsOf(agent, 'week');
  expect(total_actions).toBe(12);
  expect(top_tools.map(({ count }: { count: number }) => count)).toEqual([2, ...Array(9).fill(1)]);
});

test('refuses another period', async () => {
  const { status, body } = await world.rest.get(`/v1/agents/${unique('agent')}/metrics?period=year`);
  expect([status, body.detail[0].loc]).toEqual([422, ['query', 'period']]);
});
