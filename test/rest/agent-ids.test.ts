import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, SECRET, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

test('an agent has one budget, in whichever form its name is written', async () => {
  const mark = unique('agent');
  const [composed, decomposed] = [`k\u00e9vin ${mark}`, `ke\u0301vin ${mark}`];
  const tool = await world.tool('charge', ok());
  await world.rest.post(`/v1/policies/${encodeURIComponent(decomposed)}`, { max_spend_usd_per_day: 1 });
  const spend = async (agent: string) =>
    (await world.run({ agent_id: agent, tool, args: { n: unique('n') }, spend_usd: 1 })).body.policy_reason;
  expect(await spend(composed)).toBe('ok');
  expect(await spend(decomposed)).toBe('max_spend_usd_per_day_exceeded');
  expect((await world.rest.get(`/v1/agents/${encodeURIComponent(decomposed)}/logs`)).body).toHaveLength(2);
  expect((await world.rest.get(`/v1/policies/${encodeURIComponent(composed)}`)).body.agent_id).toBe(composed);
});

const looksAlike: Array<[string, string]> = [
  ['a space behind it', 'kevin '],
  ['a space before it', ' kevin'],
  ['a tab behind it', 'kevin\t'],
  ['a space that does not break', 'kevin\u00a0'],
  ['a space of no width', 'ke\u200bvin'],
  ['a joiner', 'ke\u200dvin'],
  ['a soft hyphen', 'ke\u00advin'],
  ['a mark of direction', 'kevin\u202e'],
  ['a byte order mark', '\ufeffkevin'],
  ['a variation selector', 'kevin\ufe0f'],
  ['a filler', 'kevin\u3164'],
  ['a tag', 'kevin\u{e0041}'],
  ['a control character', 'ke\u0007vin'],
  ['a line break', 'ke\nvin'],
  ['a line separator', 'ke\u2028vin'],
];

test.each(looksAlike)('a name with %s is refused wherever an agent is named', async (_what, agent) => {
  const path = encodeURIComponent(agent);
  const auth = { type: 'hmac_sha256', secret: SECRET };
  const answers = [
    await world.run({ agent_id: agent, tool: 'any', args: {} }),
    await world.run({ key: unique('run'), metadata: { agent_id: agent, actions: [{ tool: 'any' }] } }),
    await world.rest.post(`/v1/policies/${path}`, {}),
    await world.rest.post(`/v1/policies/${path}/simulate`, { call: { tool: 'any' } }),
    await world.rest.post(`/v1/agents/${path}/disable`, {}),
    await world.rest.get(`/v1/agents/${path}/logs`),
    await world.rest.get(`/v1/actions?agent_id=${path}`),
    await world.rest.get(`/v1/audit?agent_id=${path}`),
    await world.rest.post('/v1/events', { run_id: 'r', type: 'note', agent_id: agent }),
    await world.rest.post('/v1/keys', { name: 'n', agent_ids: [agent] }),
    await world.rest.post('/v1/tools', { name: 't', url: 'http://127.0.0.1:1/', auth, scope_id: `agent:${agent}` }),
  ];
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 422));
});

test('names with letters, signs and spaces of any script are names', async () => {
  for (const agent of ['a b', 'агент 7', '代理', 'a:b.c-d_e', '🙂', 'נציג']) {
    const { status } = await world.rest.post(`/v1/policies/${encodeURIComponent(agent)}`, {});
    expect([agent, status]).toEqual([agent, 200]);
  }
});
