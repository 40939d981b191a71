import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const set = (agent: string, policy: object, version?: string) =>
  world.rest.post(`/v1/policies/${agent}`, policy, version === undefined ? {} : { 'if-match': version });
const limitOf = async (agent: string) =>
  (await world.rest.get(`/v1/policies/${agent}`)).body.policy?.max_actions_per_hour;

describe('If-Match', () => {
  test('lets a change follow the version it names, and no other', async () => {
    const agent = unique('agent');
    const first = await set(agent, { max_actions_per_hour: 1 });
    expect(first.headers.get('etag')).toBe('"1"');
    expect((await set(agent, { max_actions_per_hour: 2 }, '"1"')).body.policy_version).toBe(2);
    const late = await set(agent, { max_actions_per_hour: 3 }, '"1"');
    expect([late.status, late.body.detail]).toEqual([
      412,
      { error: 'version_mismatch', message: expect.any(String), version: 2 },
    ]);
    expect(await limitOf(agent)).toBe(2);
    const template = await world.rest.post(
      `/v1/policies/${agent}/from-template`,
      { template: 'strict' },
      { 'if-match': '"1"' },
    );
    expect([template.status, template.body.detail.version]).toEqual([412, 2]);
    const read = await world.rest.get(`/v1/policies/${agent}`);
    expect((await set(agent, { max_actions_per_hour: 4 }, read.headers.get('etag') ?? '')).status).toBe(200);
    expect(await limitOf(agent)).toBe(4);
  });

  test.each<[string, number]>([
    ['"2"', 200],
    ['2', 200],
    ['*', 200],
    ['"1", "2"', 200],
    ['"3"', 412],
    ['"02"', 200],
    ['W/"2"', 412],
    ['"two"', 412],
    ['"99999999999999999999"', 412],
    ['2"', 422],
    ['', 422],
    ['"2" "3"', 422],
    ['two', 422],
  ])('%s on the second version is %i', async (header, status) => {
    const agent = unique('agent');
    await set(agent, { max_actions_per_hour: 1 });
    await set(agent, { max_actions_per_hour: 2 });
    const answer = await set(agent, { max_actions_per_hour: 3 }, header);
    expect(answer.status).toBe(status);
    if (status === 422) expect(answer.body.detail[0].loc).toEqual(['header', 'If-Match']);
    expect(await limitOf(agent)).toBe(status === 200 ? 3 : 2);
  });

  test.each(['"1"', '*'])('%s where there is no policy is 412', async (header) => {
    const { status, body } = await set(unique('agent'), {}, header);
    expect([status, body.detail.version]).toEqual([412, null]);
  });

  test('lets one of many through, and its repeat, whose answer was lost', async () => {
    const agent = unique('agent');
    await set(agent, {});
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => set(agent, { max_actions_per_hour: n }, '"1"')),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(412)]);
    const won = answers.findIndex(({ status }) => status === 200);
    const again = await set(agent, { max_actions_per_hour: won }, '"1"');
    expect([again.status, again.body]).toEqual([200, answers[won]?.body]);
    await set(agent, { max_actions_per_hour: 100 });
    expect((await set(agent, { max_actions_per_hour: won }, '"1"')).status).toBe(412);
  });
});

describe('what a policy does not know', () => {
  test('is ignored, and named with its path', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    const body = {
      max_action_per_hour: 5,
      blocked_tools: [tool],
      conditions: [{ name: 'all', expression: 'true', tool }],
      pricing_rules: [{ tool, price_usd: 1, currency: 'eur' }],
      max_calls_per_tool: { [tool]: 5 },
      allowed_tools: null,
      nothing: null,
    };
    const saved = await set(agent, body);
    expect(saved.body.ignored_fields.sort()).toEqual([
      'conditions.0.tool',
      'max_action_per_hour',
      'nothing',
      'pricing_rules.0.currency',
    ]);
    expect(saved.body.policy).toEqual({
      blocked_tools: [tool],
      conditions: [{ name: 'all', expression: 'true' }],
      pricing_rules: [{ tool, price_usd: 1 }],
      max_calls_per_tool: { [tool]: 5 },
    });
    const template = await world.rest.post(`/v1/policies/${agent}/from-template`, {
      template: 'strict',
      override: {},
      overrides: { require_aproval: [tool] },
    });
    expect(template.body.ignored_fields).toEqual(['override', 'overrides.require_aproval']);
    expect(await set(agent, { agent_id: agent })).not.toHaveProperty('body.ignored_fields');
    expect((await world.rest.get(`/v1/policies/${agent}`)).body).not.toHaveProperty('ignored_fields');
  });
});

describe('money in a policy', () => {
  test('is whole micro-dollars where it is a price', async () => {
    const { status, body } = await set(unique('agent'), { pricing_rules: [{ tool: 'x', price_usd: 0.0000004 }] });
    expect([status, body.detail[0].type]).toEqual([422, 'multiple_of']);
    expect((await set(unique('agent'), { max_spend_usd_per_day: 0.1 + 0.2 })).status).toBe(200);
  });

  test('a spend that is less than one micro-dollar is not free', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('cheap', ok())];
    await set(agent, { max_spend_usd_per_day: 0 });
    const call = async (spend_usd: number) =>
      (await world.run({ agent_id: agent, tool, args: { spend_usd }, spend_usd })).body;
    expect(await call(0.0000004)).toMatchObject({ policy_reason: 'max_spend_usd_per_day_exceeded' });
    expect(await call(0)).toMatchObject({ decision: 'executed' });
  });
});

describe('limits of single tools', () => {
  test.each(['constructor', 'toString', '__defineGetter__', 'a.b:c-d', 'hasOwnProperty', '1'])(
    'are of any name that a tool may have: %s',
    async (name) => {
      const agent = unique('agent');
      const url = world.receiver.endpoint(`/${unique('odd')}`, ok());
      const auth = { type: 'hmac_sha256', secret: 'a-secret-of-the-tests' };
      expect((await set(agent, { max_calls_per_tool: { [name]: 1 } })).body.detail).toMatchObject({
        error: 'unknown_tools',
        tools: [name],
      });
      const tool = { name, scope_id: `agent:${agent}`, url, auth };
      expect((await world.rest.post('/v1/tools', tool)).status).toBe(200);
      const { body } = await set(agent, { max_calls_per_tool: { [name]: 1 } });
      expect(body.policy.max_calls_per_tool).toEqual({ [name]: 1 });
      const call = async (n: number) => (await world.run({ agent_id: agent, tool: name, args: { n } })).body;
      expect([(await call(1)).decision, (await call(2)).policy_reason]).toEqual([
        'executed',
        'max_calls_per_tool_exceeded',
      ]);
    },
  );

  test('a name that only an object inherits limits nothing else', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    await set(agent, { max_calls_per_tool: { [tool]: 9 } });
    expect((await world.run({ agent_id: agent, tool })).body.decision).toBe('executed');
  });
});

test('a change of a policy is told with what was before and after', async () => {
  const agent = unique('agent');
  await set(agent, { max_actions_per_hour: 1 });
  await set(agent, { max_actions_per_hour: 1 });
  await set(agent, { max_actions_per_hour: 2 });
  const trail = await world.query('select type, detail from audit where agent_id = $1 order by id', [agent]);
  expect(trail).toEqual([
    { type: 'policy_set', detail: { before: null, after: { max_actions_per_hour: 1 } } },
    { type: 'policy_set', detail: { before: { max_actions_per_hour: 1 }, after: { max_actions_per_hour: 2 } } },
  ]);
});
