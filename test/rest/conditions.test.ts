import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { callsOf, ledgerOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

async function scene(policy: object = {}) {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  const saved = await world.rest.post(`/v1/policies/${agent}`, policy);
  expect(saved.status).toBe(200);
  return { agent, tool, call: (args: object, fields: object = {}) => run(agent, tool, args, fields) };
}
const run = async (agent_id: string, tool: string, args: object, fields: object = {}) =>
  (await world.run({ agent_id, tool, args, ...fields })).body;
const small = { name: 'small-refunds', expression: 'args.amount <= 100' };
const explain = async (id: string) => (await world.rest.get(`/v1/decisions/${id}/explain`)).body;

describe('a policy with conditions', () => {
  test('lets through what meets them all, and names the first that is not met', async () => {
    const { agent, tool, call } = await scene({
      conditions: [small, { name: 'in-dollars', expression: 'args.currency == "usd"' }],
    });
    expect(await call({ amount: 50, currency: 'usd' })).toMatchObject({ decision: 'executed' });
    const large = await call({ amount: 500, currency: 'usd' });
    expect(large).toMatchObject({
      decision: 'blocked',
      policy_reason: 'condition_not_met',
      condition: 'small-refunds',
    });
    expect(await call({ amount: 5, currency: 'eur' })).toMatchObject({ condition: 'in-dollars', spend_usd: 0 });
    expect(callsOf(world, tool)).toHaveLength(1);

    const action = await world.rest.get(`/v1/actions/${large.action_id}`);
    expect(action.body).toMatchObject({ policy_reason: 'condition_not_met', condition: 'small-refunds' });
    const { body } = await world.rest.get(`/v1/audit?agent_id=${agent}&decision=blocked`);
    expect(body.items[0]).toMatchObject({ policy_reason: 'condition_not_met' });
  });

  test('blocks what cannot be evaluated, unless the tool fails open', async () => {
    const { agent, tool, call } = await scene({ conditions: [small] });
    expect(await call({})).toMatchObject({ decision: 'blocked', condition: 'small-refunds' });
    await world.rest.post(`/v1/policies/${agent}`, { conditions: [small], fail_open_tools: [tool] });
    expect(await call({})).toMatchObject({ decision: 'executed' });
    expect(await call({ amount: 500 })).toMatchObject({ decision: 'blocked', condition: 'small-refunds' });
  });

  test('can speak of the spend, which an agent cannot talk down', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('paid', ok(), { price_usd: 9 })];
    await world.rest.post(`/v1/policies/${agent}`, { conditions: [{ name: 'cheap', expression: 'spend_usd < 5' }] });
    expect(await run(agent, tool, {}, { spend_usd: 1 })).toMatchObject({ condition: 'cheap' });
  });

  test('is told after the lists and before the limits', async () => {
    const never = { name: 'never', expression: 'false' };
    const { agent, tool, call } = await scene({ conditions: [never], max_actions_per_hour: 0 });
    expect(await call({ n: 1 })).toMatchObject({ policy_reason: 'condition_not_met' });
    await world.rest.post(`/v1/policies/${agent}`, { conditions: [never], blocked_tools: [tool] });
    expect(await call({ n: 2 })).toMatchObject({ policy_reason: 'tool_explicitly_blocked' });
  });

  test('is kept and read back as it was given; a tool it names has to exist', async () => {
    const { agent, tool } = await scene();
    const policy = { conditions: [{ ...small, tools: [tool] }], fail_open_tools: [tool], require_approval: [tool] };
    const { body } = await world.rest.post(`/v1/policies/${agent}`, policy);
    expect(body.policy).toEqual(policy);
    expect((await world.rest.get(`/v1/policies/${agent}`)).body.policy).toEqual(policy);
    for (const naming of [
      { conditions: [{ ...small, tools: ['nobody'] }] },
      { fail_open_tools: ['nobody'] },
      { require_approval: ['nobody'] },
    ]) {
      const refused = await world.rest.post(`/v1/policies/${agent}`, naming);
      expect(refused.body.detail).toMatchObject({ error: 'unknown_tools', tools: ['nobody'] });
    }
  });

  test.each([
    ['args.amount <', 'cel_syntax', 13],
    ['args.amount + 1 < 3', 'cel_type', 13],
    ['nobody', 'cel_type', 1],
  ])('%s is refused with its place', async (expression, type, column) => {
    const conditions = [small, { name: 'broken', expression }];
    const place = ['conditions', 1, 'expression'];
    const answers = [
      { loc: ['body', ...place], answer: await world.rest.post(`/v1/policies/${unique('agent')}`, { conditions }) },
      {
        loc: ['body', 'overrides', ...place],
        answer: await world.rest.post(`/v1/policies/${unique('agent')}/from-template`, {
          template: 'strict',
          overrides: { conditions },
        }),
      },
      {
        loc: ['body', 'policy', ...place],
        answer: await world.rest.post(`/v1/policies/${unique('agent')}/simulate`, { policy: { conditions }, days: 1 }),
      },
    ];
    for (const { loc, answer } of answers) {
      expect(answer.status).toBe(422);
      expect(answer.body.detail).toMatchObject([{ type, loc, ctx: { line: 1, column } }]);
      expect(answer.body.detail[0].msg).toContain(`line 1, column ${column}`);
    }
  });

  test.each([
    [{ conditions: [small, small] }],
    [{ conditions: [{ name: '', expression: 'true' }] }],
    [{ conditions: [{ name: 'long', expression: `${'true && '.repeat(200)}true` }] }],
    [{ conditions: [{ expression: 'true' }] }],
  ])('%j is refused', async (policy) => {
    expect((await world.rest.post(`/v1/policies/${unique('agent')}`, policy)).status).toBe(422);
  });
});

describe('a decision explained', () => {
  test('shows what was known and what each check said', async () => {
    const { agent, tool, call } = await scene({
      max_spend_usd_per_day: 5,
      max_actions_per_hour: 10,
      conditions: [small],
    });
    await call({ amount: 1 }, { spend_usd: 3 });
    const blocked = await call({ amount: 2, run_id: 'left out' }, { spend_usd: 4 });
    const found = await explain(blocked.action_id);
    expect(found).toMatchObject({
      action_id: blocked.action_id,
      agent_id: agent,
      tool,
      decision: 'blocked',
      policy_reason: 'max_spend_usd_per_day_exceeded',
      risk_level: 'high',
      policy_version: 1,
      policy: { max_spend_usd_per_day: 5 },
      outcome: 'blocked',
      inputs: { args: { amount: 2 }, asked_spend_usd: 4, spend_usd: 4, spent_usd_today: 3, actions_this_hour: 1 },
    });
    expect(found.checks.map(({ check, passed }: { check: string; passed: boolean }) => [check, passed])).toEqual([
      ['killed', true],
      ['agent_disabled', true],
      ['tool_disabled', true],
      ['tool_explicitly_blocked', true],
      ['no_policy', true],
      ['tool_not_in_allowed_list', true],
      ['invalid_arguments', true],
      ['condition_not_met', true],
      ['max_calls_per_tool_exceeded', true],
      ['max_actions_per_hour_exceeded', true],
      ['max_spend_usd_per_day_exceeded', false],
      ['approval_required', true],
    ]);
    expect(found.checks.at(7).detail).toEqual({ conditions: [{ name: 'small-refunds', holds: true }] });
    expect(found.checks.at(10).detail).toEqual({ limit: 5, used: 3, spend_usd: 4 });
  });

  test('stays as it was made, whatever is changed later', async () => {
    const { agent, call } = await scene({ max_spend_usd_per_day: 5 });
    const { action_id } = await call({ n: 1 }, { spend_usd: 3 });
    const before = await explain(action_id);
    expect(before).toMatchObject({ decision: 'allowed', policy_reason: 'ok', outcome: 'executed' });
    await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: 0 });
    await world.rest.post(`/v1/agents/${agent}/disable`);
    expect(await explain(action_id)).toEqual(before);
  });

  test('of an agent without a policy says so, of an unknown one is 404', async () => {
    const tool = await world.tool('free', ok());
    const { action_id } = await run(unique('agent'), tool, {});
    expect(await explain(action_id)).toMatchObject({ policy: null, policy_version: null, decision: 'allowed' });
    const { status, body } = await world.rest.get('/v1/decisions/act_none/explain');
    expect([status, body.detail.error]).toEqual([404, 'decision_not_found']);
  });
});

describe('a simulation', () => {
  const simulate = (agent: string, body: object) => world.rest.post(`/v1/policies/${agent}/simulate`, body);

  test('holds a draft against a call, and makes none', async () => {
    const { agent, tool, call } = await scene({ max_spend_usd_per_day: 5 });
    await call({ amount: 1 }, { spend_usd: 3 });
    const asked = { call: { tool, args: { amount: 500 }, spend_usd: 3 } };
    expect((await simulate(agent, asked)).body).toMatchObject({
      decision: 'blocked',
      policy_reason: 'max_spend_usd_per_day_exceeded',
      spend_usd: 3,
    });
    const draft = { policy: { max_spend_usd_per_day: 50, conditions: [small] } };
    expect((await simulate(agent, { ...asked, ...draft })).body).toMatchObject({
      decision: 'blocked',
      policy_reason: 'condition_not_met',
      condition: 'small-refunds',
    });
    const fine = { ...draft, call: { tool, args: { amount: 5 }, spend_usd: 3 } };
    expect((await simulate(agent, fine)).body).toMatchObject({ decision: 'allowed', policy_reason: 'ok' });
    expect(callsOf(world, tool)).toHaveLength(1);
    expect(await ledgerOf(world, agent)).toEqual({ held: 0, spent: 3 });
    expect((await world.rest.get(`/v1/policies/${agent}`)).body.policy).toEqual({ max_spend_usd_per_day: 5 });
  });

  test('replays what was decided under a draft, and lists what would change', async () => {
    const { agent, tool, call } = await scene({ max_spend_usd_per_day: 5 });
    const broken = await world.tool('broken', fail(400));
    const ids = [
      (await call({ n: 1 }, { spend_usd: 3 })).action_id,
      (await run(agent, broken, { n: 2 }, { spend_usd: 2 })).action_id,
      (await call({ n: 3 }, { spend_usd: 2 })).action_id,
      (await call({ n: 4 }, { spend_usd: 2 })).action_id,
    ];
    const same = (await simulate(agent, { days: 1 })).body;
    expect(same).toMatchObject({ agent_id: agent, days: 1, replayed: 4, complete: true, changed: 0, changes: [] });

    const laxer = (await simulate(agent, { days: 1, policy: { max_spend_usd_per_day: 7 } })).body;
    expect(laxer.changes).toMatchObject([
      {
        action_id: ids[3],
        tool,
        spend_usd: 2,
        before: { decision: 'blocked', policy_reason: 'max_spend_usd_per_day_exceeded' },
        after: { decision: 'allowed', policy_reason: 'ok' },
      },
    ]);
    const stricter = (await simulate(agent, { days: 1, policy: { max_calls_per_tool: { [tool]: 1 } } })).body;
    expect(
      stricter.changes.map(({ action_id, after }: { action_id: string; after: object }) => [action_id, after]),
    ).toEqual([
      [ids[2], { decision: 'blocked', policy_reason: 'max_calls_per_tool_exceeded' }],
      [ids[3], { decision: 'blocked', policy_reason: 'max_calls_per_tool_exceeded' }],
    ]);
    const priced = { pricing_rules: [{ tool, price_usd: 4 }], max_spend_usd_per_day: 5 };
    const dearer = (await simulate(agent, { days: 1, policy: priced })).body;
    expect(dearer.changes).toMatchObject([
      { action_id: ids[1], spend_usd: 2 },
      { action_id: ids[2], spend_usd: 4 },
    ]);
  });

  test('of an agent that never did anything finds nothing', async () => {
    expect((await simulate(unique('nobody'), { days: 90 })).body).toMatchObject({ replayed: 0, changed: 0 });
  });

  test('refuses what it cannot mean', async () => {
    const { agent, tool } = await scene();
    expect((await simulate(agent, { call: { tool: 'nobody' } })).body.detail.error).toBe('tool_not_found');
    expect((await simulate(agent, { policy: { blocked_tools: ['nobody'] }, days: 1 })).body.detail.error).toBe(
      'unknown_tools',
    );
    for (const body of [{}, { days: 0 }, { days: 91 }, { call: { tool }, days: 1 }, { call: {} }]) {
      expect((await simulate(agent, body)).status).toBe(422);
    }
  });
});
