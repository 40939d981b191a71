import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, hangUp, ok, slow } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const callsOf = (tool: string) => world.receiver.calls.filter((call) => call.path === `/${tool}`);
const policy = async (agent: string, fields: object) =>
  expect((await world.rest.post(`/v1/policies/${agent}`, fields)).status).toBe(200);

describe('a governed call', () => {
  test('is made once, and a caller that lost the answer gets the first result', async () => {
    const tool = await world.tool('charge', ok());
    const call = { agent_id: unique('agent'), tool, args: { invoice: '789', usd: 100 }, spend_usd: 100 };
    const first = await world.run(call);
    const again = await world.run(call);
    expect(first.body).toMatchObject({
      ok: true,
      allowed: true,
      decision: 'executed',
      policy_reason: 'ok',
      spend_usd: 100,
    });
    expect(again.body).toMatchObject({ ok: true, allowed: true, decision: 'dedup', policy_reason: 'tool_idempotency' });
    expect(again.body.result).toEqual(first.body.result);
    expect(again.body.action_id).toBe(first.body.action_id);
    expect(callsOf(tool)).toHaveLength(1);
  });

  test('reaches the tool signed, with its identity, and without run_id among its arguments', async () => {
    const tool = await world.tool('charge', ok());
    const agent = unique('agent');
    const runId = unique('run');
    const { body } = await world.run({ agent_id: agent, tool, args: { a: 1, run_id: runId } });
    const [call] = callsOf(tool);
    expect(call).toMatchObject({ verified: true, idempotencyKey: body.action_id, webhookId: body.action_id, fence: 1 });
    expect(call?.body).toEqual({ args: { a: 1 }, tool, agent_id: agent, action_id: body.action_id, run_id: runId });
    expect(call?.headers.authorization).toBeUndefined();
  });

  test.each([
    [false, 'close'],
    [true, 'keep-alive'],
  ])('of a tool marked idempotent: %s asks for its connection to be: %s', async (idempotent, connection) => {
    const tool = await world.tool('charge', ok(), { idempotent });
    await world.run({ agent_id: unique('agent'), tool, args: {} });
    expect(callsOf(tool).map(({ headers }) => headers.connection)).toEqual([connection]);
  });

  test('of 100 equal ones at once, one reaches the tool and all get its result', async () => {
    const tool = await world.tool('charge', slow(300));
    const call = { agent_id: unique('agent'), tool, args: { invoice: 1 } };
    const answers = await Promise.all(Array.from({ length: 100 }, () => world.run(call)));
    expect(callsOf(tool)).toHaveLength(1);
    expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(200));
    const decisions = answers.map(({ body }) => body.decision);
    expect(decisions.filter((decision) => decision === 'executed')).toHaveLength(1);
    expect(decisions.filter((decision) => decision === 'dedup')).toHaveLength(99);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body.result)))).toHaveLength(1);
  });

  test('under an explicit key is the same call only with the same agent, tool and arguments', async () => {
    const tool = await world.tool('charge', ok());
    const key = randomUUID();
    const call = { agent_id: unique('agent'), tool, args: { a: 1 } };
    const first = await world.run(call, { 'idempotency-key': key });
    const again = await world.run({ ...call, idempotency_key: key, spend_usd: 3 });
    const other = await world.run({ ...call, args: { a: 2 } }, { 'idempotency-key': key });
    expect(again.body).toMatchObject({ decision: 'dedup', action_id: first.body.action_id });
    expect(other.status).toBe(422);
    expect(other.body.detail.error).toBe('idempotency_mismatch');
    expect(callsOf(tool)).toHaveLength(1);
  });

  test('under an explicit key that another call holds at this moment is a mismatch too', async () => {
    const tool = await world.tool('charge', slow(1_000));
    const key = randomUUID();
    const agent = unique('agent');
    const [first, other] = await Promise.all([
      world.run({ agent_id: agent, tool, args: { a: 1 } }, { 'idempotency-key': key }),
      world.run({ agent_id: agent, tool, args: { a: 2 } }, { 'idempotency-key': key }),
    ]);
    expect([first.status, other.status].sort()).toEqual([200, 422]);
    expect(callsOf(tool)).toHaveLength(1);
  });

  test('with other arguments under the same agent is another call', async () => {
    const tool = await world.tool('charge', ok());
    const agent = unique('agent');
    for (const invoice of [1, 2]) await world.run({ agent_id: agent, tool, args: { invoice } });
    expect(callsOf(tool)).toHaveLength(2);
  });

  test('without a key, of a tool that recognises no repeats, is new each time', async () => {
    const tool = await world.tool('charge', ok(), { dedup_ttl: 0 });
    const call = { agent_id: unique('agent'), tool, args: {} };
    const decisions = [await world.run(call), await world.run(call)].map(({ body }) => body.decision);
    expect(decisions).toEqual(['executed', 'executed']);
    expect(callsOf(tool)).toHaveLength(2);
  });

  test('of an unknown tool is 404, and stands on the timeline', async () => {
    const runId = unique('run');
    const { status, body } = await world.run({ agent_id: unique('agent'), tool: 'nothing', args: { run_id: runId } });
    expect([status, body.detail.error]).toEqual([404, 'tool_not_found']);
    const timeline = await world.rest.get(`/v1/runs/${runId}`);
    const types = timeline.body.events.map((event: { type: string }) => event.type);
    expect(types).toEqual(['run_started', 'tool_result', 'run_finished']);
  });

  test('answers pending when the caller waits no longer, and its outcome to who asks again', async () => {
    const tool = await world.tool('charge', slow(1_500));
    const call = { agent_id: unique('agent'), tool, args: {} };
    const first = await world.run(call, { prefer: 'wait=0' });
    const again = await world.run(call);
    expect([first.status, first.body.decision]).toEqual([202, 'pending']);
    expect(first.body).toMatchObject({ ok: false, allowed: false, policy_reason: 'still_running' });
    expect(first.body.result).toEqual({
      action_id: first.body.action_id,
      status_url: `/v1/actions/${first.body.action_id}`,
    });
    expect(again.body).toMatchObject({ decision: 'dedup', ok: true, action_id: first.body.action_id });
    expect(callsOf(tool)).toHaveLength(1);
  });
});

describe('a call that cannot be', () => {
  test.each([
    { agent_id: '' },
    { tool: 'with space' },
    { args: [] },
    { args: { n: 2 ** 60 } },
    { args: { text: '\ud800' } },
    { spend_usd: -1 },
    { wait: -1 },
    { idempotency_key: '' },
    { args: { run_id: ['no name'] } },
  ])('%j is refused', async (fields) => {
    const { status, body } = await world.run({ agent_id: 'a', tool: 't', ...fields });
    expect(status).toBe(422);
    expect(body.detail[0].loc[1]).toBe(Object.keys(fields)[0]);
  });

  test('a header and a body that name different keys are refused', async () => {
    const call = { agent_id: 'a', tool: 't', idempotency_key: 'one' };
    expect((await world.run(call, { 'idempotency-key': 'two' })).status).toBe(422);
  });
});

describe('what a tool answers', () => {
  test.each([
    [400, 'failed', 2],
    [404, 'failed', 2],
    [500, 'failed', 1],
  ])('a %i of a tool that may not be repeated is %s; of two calls %i reach it', async (code, decision, times) => {
    const tool = await world.tool('charge', fail(code));
    const call = { agent_id: unique('agent'), tool, args: {} };
    const first = await world.run(call);
    const again = await world.run(call);
    expect(first.body).toMatchObject({
      ok: false,
      allowed: false,
      decision,
      policy_reason: 'tool_error',
      spend_usd: 0,
    });
    expect(again.body).toMatchObject({ ok: false, policy_reason: 'tool_error' });
    expect(callsOf(tool)).toHaveLength(times);
  });

  test('a 429 is tried again, whatever the tool, under the same id', async () => {
    const tool = await world.tool('charge', fail(429, 1));
    const { body } = await world.run({ agent_id: unique('agent'), tool, args: {} });
    expect(body).toMatchObject({ decision: 'executed' });
    expect(callsOf(tool).map((call) => call.idempotencyKey)).toEqual([body.action_id, body.action_id]);
    const action = await world.rest.get(`/v1/actions/${body.action_id}`);
    expect(action.body.attempts).toMatchObject([
      { n: 1, outcome: 'retry', http_status: 429 },
      { n: 2, outcome: 'executed', http_status: 200 },
    ]);
  });

  test('a 503 of an idempotent tool is tried again', async () => {
    const tool = await world.tool('charge', fail(503, 1), { idempotent: true });
    const { body } = await world.run({ agent_id: unique('agent'), tool, args: {} });
    expect(body.decision).toBe('executed');
    expect(callsOf(tool)).toHaveLength(2);
  });

  test.each([
    ['a JSON object of almost 1 MiB', { rows: 'x'.repeat(1024 * 1024 - 100) }, { rows: expect.any(String) }],
    ['a text whose escapes would make it several MiB', '\u0001'.repeat(900_000), { truncated: true, bytes: 900_000 }],
    ['an ID longer than JavaScript counts', '{"charge_id":1915883588174806058}', { charge_id: '1915883588174806058' }],
    ['more than 1 MiB', { rows: 'x'.repeat(1024 * 1024) }, { truncated: true }],
  ])('%s is an answer like any other', async (_what, body, result) => {
    const tool = await world.tool('charge', () => ({ body }));
    const call = { agent_id: unique('agent'), tool, args: {} };
    const [first, again] = [await world.run(call), await world.run(call)];
    expect(first.body).toMatchObject({ decision: 'executed', result });
    expect(again.body).toMatchObject({ decision: 'dedup', result });
  });

  test('an idempotent tool that keeps failing leaves the call in doubt: no repeat of it is a new one', async () => {
    const tool = await world.tool('charge', fail(502), { idempotent: true, max_retries: 1 });
    const call = { agent_id: unique('agent'), tool, args: {}, spend_usd: 2 };
    const first = await world.run(call);
    const again = await world.run(call);
    expect([first.body.decision, again.body.decision]).toEqual(['in_doubt', 'in_doubt']);
    expect(again.body.action_id).toBe(first.body.action_id);
    expect(callsOf(tool).map(({ idempotencyKey, fence }) => [idempotencyKey, fence])).toEqual(
      Array(2).fill([first.body.action_id, 1]),
    );
  });

  test.each(['before_answer', 'mid_body'] as const)(
    'a connection that breaks %s leaves the call in doubt: never sent again, its money held',
    async (when) => {
      const tool = await world.tool('charge', hangUp(when));
      const agent = unique('agent');
      await policy(agent, { max_spend_usd_per_day: 10 });
      const call = { agent_id: agent, tool, args: {}, spend_usd: 6 };
      const first = await world.run(call);
      const again = await world.run(call);
      const other = await world.run({ ...call, args: { n: 2 } });
      expect(first.body).toMatchObject({ ok: false, allowed: false, decision: 'in_doubt', policy_reason: 'in_doubt' });
      const { action_id } = first.body;
      expect(first.body.result).toEqual({ action_id, status_url: `/v1/actions/${action_id}` });
      expect(again.body).toMatchObject({ decision: 'in_doubt', action_id: first.body.action_id });
      expect(other.body.policy_reason).toBe('max_spend_usd_per_day_exceeded');
      expect(callsOf(tool)).toHaveLength(1);
    },
  );
});

describe('an action in doubt', () => {
  const doubt = async (fields = {}) => {
    const tool = await world.tool('charge', hangUp('before_answer'), fields);
    const agent = unique('agent');
    await policy(agent, { max_spend_usd_per_day: 10 });
    const call = { agent_id: agent, tool, args: {}, spend_usd: 6 };
    const { body } = await world.run(call);
    expect(body.decision).toBe('in_doubt');
    return { tool, call, id: body.action_id as string };
  };

  test('that an operator calls executed is remembered with the result, and its money is spent', async () => {
    const { tool, call, id } = await doubt();
    const resolved = await world.rest.post(`/v1/actions/${id}/resolve`, {
      outcome: 'executed',
      result: { charge: 'ch_1' },
    });
    const again = await world.run(call);
    const other = await world.run({ ...call, args: { n: 2 } });
    expect(resolved.body).toMatchObject({ status: 'executed', result: { charge: 'ch_1' }, spend_usd: 6 });
    expect(again.body).toMatchObject({ decision: 'dedup', result: { charge: 'ch_1' } });
    expect(other.body.policy_reason).toBe('max_spend_usd_per_day_exceeded');
    expect(callsOf(tool)).toHaveLength(1);
  });

  test('that an operator calls not executed frees its key and its money', async () => {
    const { tool, call, id } = await doubt();
    const resolved = await world.rest.post(`/v1/actions/${id}/resolve`, { outcome: 'not_executed' });
    expect(resolved.body.status).toBe('failed');
    const twice = await world.rest.post(`/v1/actions/${id}/resolve`, { outcome: 'executed' });
    expect([twice.status, twice.body.detail.error]).toEqual([409, 'action_not_in_doubt']);
    const again = await world.run(call);
    expect(again.body.action_id).not.toBe(id);
    expect(callsOf(tool).map(({ fence }) => fence)).toEqual([1, 2]);
  });
});

describe('an operator', () => {
  test('finds actions in doubt in Temporal by their status, until they are resolved', async () => {
    const connection = await Connection.connect({ address: world.env.TEMPORAL_ADDRESS });
    const { workflow } = new Client({ connection });
    const agent = unique('agent');
    const find = async (status: string) =>
      (
        await workflow.count(
          `OnceOnlyAgent = '${agent}' and OnceOnlyStatus = '${status}' and ExecutionStatus = 'Running'`,
        )
      ).count;
    const tool = await world.tool('charge', hangUp('before_answer'));
    const { body } = await world.run({ agent_id: agent, tool, args: {} });
    await expect.poll(() => find('in_doubt'), { timeout: 20_000 }).toBe(1);
    await world.rest.post(`/v1/actions/${body.action_id}/resolve`, { outcome: 'executed' });
    await expect.poll(() => find('in_doubt'), { timeout: 20_000 }).toBe(0);
    await connection.close();
  });
});

describe('policy', () => {
  test('a blocked tool is not called, beats the allowed ones, and is not remembered', async () => {
    const tool = await world.tool('charge', ok());
    const agent = unique('agent');
    await policy(agent, { allowed_tools: [tool], blocked_tools: [tool] });
    const call = { agent_id: agent, tool, args: {} };
    const blocked = await world.run(call);
    await policy(agent, { allowed_tools: [tool] });
    const allowed = await world.run(call);
    expect(blocked.status).toBe(200);
    expect(blocked.body).toMatchObject({
      ok: false,
      allowed: false,
      decision: 'blocked',
      policy_reason: 'tool_explicitly_blocked',
      policy_version: 1,
      result: null,
    });
    expect(allowed.body).toMatchObject({ decision: 'executed', policy_version: 2 });
    expect(callsOf(tool)).toHaveLength(1);
  });

  test('a tool outside the allowed ones, and a disabled one, are not called', async () => {
    const [one, other] = [await world.tool('one', ok()), await world.tool('other', ok(), { enabled: false })];
    const agent = unique('agent');
    await policy(agent, { allowed_tools: [other] });
    expect((await world.run({ agent_id: agent, tool: one })).body.policy_reason).toBe('tool_not_in_allowed_list');
    expect((await world.run({ agent_id: agent, tool: other })).body.policy_reason).toBe('tool_disabled');
    expect([...callsOf(one), ...callsOf(other)]).toHaveLength(0);
  });

  test("an agent's own tool hides the global one, also while it is disabled", async () => {
    const global = await world.tool('charge', ok());
    const agent = unique('agent');
    const url = world.receiver.endpoint(`/${agent}`, ok());
    const own = {
      name: global,
      scope_id: `agent:${agent}`,
      url,
      auth: { type: 'hmac_sha256', secret: 'another-secret-here' },
    };
    await world.rest.post('/v1/tools', { ...own, enabled: false });
    const hidden = await world.run({ agent_id: agent, tool: global, args: { n: 1 } });
    const others = await world.run({ agent_id: unique('agent'), tool: global, args: { n: 1 } });
    expect(hidden.body.policy_reason).toBe('tool_disabled');
    expect(others.body.decision).toBe('executed');
  });

  test.each([
    ['max_actions_per_hour', 'max_actions_per_hour_exceeded'],
    ['max_calls_per_tool', 'max_calls_per_tool_exceeded'],
  ])('%s counts calls that were made, not those that were blocked or repeated', async (field, reason) => {
    const tool = await world.tool('charge', ok());
    const agent = unique('agent');
    await policy(agent, { [field]: field === 'max_calls_per_tool' ? { [tool]: 2 } : 2 });
    const reasons = [];
    for (const n of [1, 1, 2, 3, 1])
      reasons.push((await world.run({ agent_id: agent, tool, args: { n } })).body.policy_reason);
    expect(reasons).toEqual(['ok', 'tool_idempotency', 'ok', reason, 'tool_idempotency']);
  });

  test('a limit of 0 allows nothing, but a free call costs no budget', async () => {
    const tool = await world.tool('charge', ok());
    const [none, free] = [unique('agent'), unique('agent')];
    await policy(none, { max_actions_per_hour: 0 });
    await policy(free, { max_spend_usd_per_day: 0 });
    expect((await world.run({ agent_id: none, tool })).body.policy_reason).toBe('max_actions_per_hour_exceeded');
    expect((await world.run({ agent_id: free, tool })).body.decision).toBe('executed');
    const paid = await world.run({ agent_id: free, tool, args: { n: 2 }, spend_usd: 0.000001 });
    expect(paid.body.policy_reason).toBe('max_spend_usd_per_day_exceeded');
  });

  test('an agent cannot talk its spend down', async () => {
    const tool = await world.tool('charge', ok(), { price_usd: 2 });
    const agent = unique('agent');
    await policy(agent, { pricing_rules: [{ tool, price_usd: 3 }] });
    const spent = async (spend_usd: number) =>
      (await world.run({ agent_id: agent, tool, args: { spend_usd }, spend_usd })).body.spend_usd;
    expect([await spent(0), await spent(5)]).toEqual([3, 5]);
  });

  test('100 different calls at once under a budget for 10: exactly 10 reach the tool, and the spend is theirs', async () => {
    const tool = await world.tool('charge', slow(100));
    const agent = unique('agent');
    await policy(agent, { max_spend_usd_per_day: 10 });
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => world.run({ agent_id: agent, tool, args: { n }, spend_usd: 1 })),
    );
    expect(callsOf(tool)).toHaveLength(10);
    expect(answers.filter(({ body }) => body.decision === 'executed')).toHaveLength(10);
    expect(answers.filter(({ body }) => body.policy_reason === 'max_spend_usd_per_day_exceeded')).toHaveLength(90);
    const [ledger] = await world.query('select held_micros, spent_micros from agent_days where agent_id = $1', [agent]);
    expect(ledger).toEqual({ held_micros: '0', spent_micros: '10000000' });
  });

  test('a failed call gives its money back', async () => {
    const tool = await world.tool('charge', fail(400));
    const agent = unique('agent');
    await policy(agent, { max_spend_usd_per_day: 1 });
    for (const n of [1, 2]) {
      expect((await world.run({ agent_id: agent, tool, args: { n }, spend_usd: 1 })).body.decision).toBe('failed');
    }
  });
});

describe('the trail', () => {
  test('shows every decision of an agent, the latest first, with its policy version', async () => {
    const tool = await world.tool('charge', ok());
    const agent = unique('agent');
    await policy(agent, { max_spend_usd_per_day: 1 });
    const first = await world.run({ agent_id: agent, tool, args: { n: 1 }, spend_usd: 1 });
    await world.run({ agent_id: agent, tool, args: { n: 1 }, spend_usd: 1 });
    await world.run({ agent_id: agent, tool, args: { n: 2 }, spend_usd: 1 });
    const logs = await world.rest.get(`/v1/agents/${agent}/logs`);
    expect(logs.body.map((log: { decision: string }) => log.decision)).toEqual(['blocked', 'dedup', 'executed']);
    expect(logs.body[2]).toMatchObject({
      ts: expect.toSatisfy(Number.isInteger),
      action_id: first.body.action_id,
      agent_id: agent,
      tool,
      allowed: true,
      policy_reason: 'ok',
      spend_usd: 1,
      policy_version: 1,
    });
    expect((await world.rest.get(`/v1/agents/${agent}/logs?limit=1`)).body).toHaveLength(1);
  });

  test('a run names its calls in order', async () => {
    const tool = await world.tool('charge', ok());
    const run_id = unique('run');
    await world.run({ agent_id: unique('agent'), tool, args: { run_id } });
    await world.rest.post('/v1/events', { run_id, type: 'note', message: 'done', data: { a: 1 } });
    const { body } = await world.rest.get(`/v1/runs/${run_id}`);
    const types = body.events.map((event: { type: string }) => event.type);
    expect(types).toEqual(['run_started', 'tool_call', 'tool_result', 'run_finished', 'note']);
    expect(body.total).toBe(5);
    const list = await world.rest.get(`/v1/runs?q=${run_id}`);
    expect(list.body).toMatchObject({ total: 1, items: [{ run_id, last_type: 'note', events_count: 5 }] });
  });

  test('an action can be read with its attempts, and not by another name', async () => {
    const tool = await world.tool('charge', ok());
    const { body } = await world.run({ agent_id: unique('agent'), tool, args: {} });
    const action = await world.rest.get(`/v1/actions/${body.action_id}`);
    expect(action.body).toMatchObject({
      status: 'executed',
      tool,
      fence: 1,
      attempts: [{ n: 1, outcome: 'executed' }],
    });
    expect(action.body.temporal_url).toContain(encodeURIComponent(body.workflow_id));
    expect((await world.rest.get('/v1/actions/act_none')).status).toBe(404);
  });
});
