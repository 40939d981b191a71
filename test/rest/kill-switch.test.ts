import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import type { Behaviour } from '../../src/dev/receiver.ts';
import type { Answer } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const HOUR = '3600';
const callsOf = (tool: string) => world.receiver.calls.filter((call) => call.path === `/${tool}`);
const disable = (agent: string, body?: unknown) => world.rest.post(`/v1/agents/${agent}/disable`, body);
const enable = (agent: string, body?: unknown) => world.rest.post(`/v1/agents/${agent}/enable`, body);

/** Answers `status` and asks to be called again in an hour: whoever is told so waits. */
const later =
  (status: number): Behaviour =>
  () => ({ status, headers: { 'retry-after': HOUR } });

/** A promise, and what fulfils it. */
function moment(): [come: Promise<void>, arrive: () => void] {
  let arrive: () => void = () => undefined;
  const come = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  return [come, arrive];
}

/** Answers only when told to. */
function gate(then: Behaviour): { behaviour: Behaviour; open: () => void; entered: Promise<void> } {
  const [opened, open] = moment();
  const [entered, enter] = moment();
  const behaviour: Behaviour = async (call, n) => {
    enter();
    await opened;
    return await then(call, n);
  };
  return { behaviour, open, entered };
}

/** Until `count` actions of the agent have made an attempt and wait for the next. */
const waiting = (agent: string, count: number, { query } = world) =>
  vi.waitFor(async () => {
    const rows = await query(
      `select 1 from actions a join attempts t using (action_id)
       where a.agent_id = $1 and a.status = 'running' and t.ended_at is not null`,
      [agent],
    );
    expect(rows).toHaveLength(count);
  }, 30_000);

const heldMicros = async (agent: string) =>
  (await world.query('select held_micros, spent_micros from agent_days where agent_id = $1', [agent]))[0];

describe('a disabled agent', () => {
  test('is blocked, also for a call that is remembered, until it is enabled', async () => {
    const tool = await world.tool('charge', ok());
    const agent = unique('agent');
    const known = { agent_id: agent, tool, args: { n: 1 } };
    await world.run(known);
    const disabled = await disable(agent, { reason: 'spends too much' });
    expect(disabled).toMatchObject({
      status: 200,
      body: { agent_id: agent, is_enabled: false, disabled_reason: 'spends too much', stopped: 0, in_flight: 0 },
    });
    expect(Date.parse(disabled.body.disabled_at)).toBeGreaterThan(0);
    for (const args of [{ n: 1 }, { n: 2 }]) {
      const { status, body } = await world.run({ ...known, args });
      expect([status, body.allowed, body.decision, body.policy_reason]).toEqual([
        200,
        false,
        'blocked',
        'agent_disabled',
      ]);
    }
    expect((await world.run({ agent_id: agent, tool }, { 'idempotency-key': unique('key') })).body).toMatchObject({
      policy_reason: 'agent_disabled',
      risk_level: 'high',
    });
    const enabled = await enable(agent);
    expect(enabled.body).toEqual({ agent_id: agent, is_enabled: true, disabled_reason: null, disabled_at: null });
    expect((await world.run(known)).body.decision).toBe('dedup');
    expect((await world.run({ ...known, args: { n: 2 } })).body.decision).toBe('executed');
    expect(callsOf(tool)).toHaveLength(2);
  });

  test('may be disabled before anyone knows it, by a body, an empty one or none', async () => {
    const headers = { authorization: `Bearer ${world.rest.key}` };
    for (const init of [{}, { body: '' }, { body: '{}', headers: { 'content-type': 'application/json' } }]) {
      const agent = `${unique('agent')} with spaces: and.dots`;
      const url = `${world.rest.url}/v1/agents/${encodeURIComponent(agent)}/disable`;
      const response = await fetch(url, { method: 'POST', ...init, headers: { ...headers, ...init.headers } });
      expect([response.status, await response.json()]).toMatchObject([
        200,
        { agent_id: agent, is_enabled: false, disabled_reason: null, stopped: 0, in_flight: 0 },
      ]);
    }
  });

  test('disabled again keeps its moment and its reason, and leaves one audit line; so does enabling', async () => {
    const agent = unique('agent');
    const first = await disable(agent, { reason: 'a' });
    const again = await disable(agent);
    const other = await disable(agent, { reason: 'b' });
    expect(again.body).toEqual(first.body);
    expect(other.body).toEqual({ ...first.body, disabled_reason: 'b' });
    for (const reason of ['fine', 'fine']) await enable(agent, { reason });
    const lines = await world.query(
      `select type, detail ->> 'reason' as reason, actor is not null as signed from audit where agent_id = $1 order by id`,
      [agent],
    );
    expect(lines).toEqual([
      { type: 'agent_disabled', reason: 'a', signed: true },
      { type: 'agent_disabled', reason: 'b', signed: true },
      { type: 'agent_enabled', reason: 'fine', signed: true },
    ]);
  });

  test('enabling an agent that nobody disabled changes nothing', async () => {
    const agent = unique('agent');
    expect((await enable(agent)).body).toMatchObject({ agent_id: agent, is_enabled: true });
    expect(await world.query('select 1 from audit where agent_id = $1', [agent])).toEqual([]);
  });

  test('a reason that is no text is refused', async () => {
    expect((await disable(unique('agent'), { reason: 7 })).status).toBe(422);
  });
});

describe('what a disabled agent had begun', () => {
  test('and waits for its next attempt is stopped at once, its money and its limits given back', async () => {
    const tool = await world.tool('charge', later(429), { max_retries: 10 });
    const agent = unique('agent');
    const calls = Array.from({ length: 20 }, (_, n) =>
      world.run({ agent_id: agent, tool, args: { n }, spend_usd: 1, wait: 60 }),
    );
    await waiting(agent, 20);
    const { body } = await disable(agent);
    expect(body).toMatchObject({ stopped: 20, in_flight: 0 });
    const answers = await Promise.all(calls);
    for (const answer of answers) {
      expect(answer.body).toMatchObject({ allowed: false, decision: 'blocked', policy_reason: 'agent_disabled' });
    }
    expect(callsOf(tool)).toHaveLength(20);
    expect(await heldMicros(agent)).toEqual({ held_micros: '0', spent_micros: '0' });
    const [ledger] = await world.query('select hour_actions, tool_calls from agent_days where agent_id = $1', [agent]);
    expect(ledger).toEqual({ hour_actions: Array(24).fill(0), tool_calls: { [tool]: 0 } });
    expect((await disable(agent)).body).toMatchObject({ stopped: 0, in_flight: 0 });
  });

  test('and is out cannot be taken back: it ends by its answer, and is not followed by another attempt', async () => {
    const [done, retried] = [gate(ok()), gate(later(429))];
    const tools = [await world.tool('charge', done.behaviour), await world.tool('charge', retried.behaviour)];
    const agent = unique('agent');
    const calls = tools.map((tool) => world.run({ agent_id: agent, tool, args: {}, wait: 60 }));
    await Promise.all([done.entered, retried.entered]);
    expect((await disable(agent)).body).toMatchObject({ stopped: 0, in_flight: 2 });
    done.open();
    retried.open();
    const [executed, blocked] = await Promise.all(calls);
    expect(executed?.body).toMatchObject({ decision: 'executed', allowed: true });
    expect(blocked?.body).toMatchObject({ decision: 'blocked', policy_reason: 'agent_disabled' });
    expect(tools.map((tool) => callsOf(tool).length)).toEqual([1, 1]);
  });

  test('no attempt begins after the answer, however many are about to', async () => {
    const tool = await world.tool('charge', fail(429), { max_retries: 10 });
    const agent = unique('agent');
    const calls = Array.from({ length: 30 }, (_, n) => world.run({ agent_id: agent, tool, args: { n }, wait: 60 }));
    await vi.waitFor(() => expect(callsOf(tool).length).toBeGreaterThan(35), 30_000);
    const { body } = await disable(agent);
    const [last] = await world.query('select clock_timestamp() as now');
    expect(body.stopped + body.in_flight).toBeLessThanOrEqual(30);
    const answers = await Promise.all(calls);
    expect(new Set(answers.map((answer) => answer.body.policy_reason))).toEqual(new Set(['agent_disabled']));
    const late = `select 1 from attempts join actions using (action_id) where agent_id = $1 and started_at > $2`;
    expect(await world.query(late, [agent, last?.now])).toEqual([]);
  });

  test('is in doubt where an earlier attempt of an idempotent tool may have acted, and its money stays held', async () => {
    const tool = await world.tool('charge', later(500), { idempotent: true });
    const agent = unique('agent');
    const call = world.run({ agent_id: agent, tool, args: {}, spend_usd: 2, wait: 60 });
    await waiting(agent, 1);
    expect((await disable(agent)).body).toMatchObject({ stopped: 1, in_flight: 0 });
    const { body } = await call;
    expect(body).toMatchObject({ ok: false, decision: 'in_doubt', policy_reason: 'in_doubt', spend_usd: 2 });
    expect(await heldMicros(agent)).toEqual({ held_micros: '2000000', spent_micros: '0' });
    const resolved = await world.rest.post(`/v1/actions/${body.action_id}/resolve`, { outcome: 'not_executed' });
    expect(resolved.body.status).toBe('failed');
    expect(await heldMicros(agent)).toEqual({ held_micros: '0', spent_micros: '0' });
  });

  test('of another agent goes on', async () => {
    const held = gate(ok());
    const tool = await world.tool('charge', held.behaviour);
    const [agent, other] = [unique('agent'), unique('agent')];
    const call = world.run({ agent_id: other, tool, args: {} });
    await held.entered;
    expect((await disable(agent)).body).toMatchObject({ stopped: 0, in_flight: 0 });
    held.open();
    expect((await call).body.decision).toBe('executed');
  });

  test('may be tried again once the agent is enabled', async () => {
    let busy = true;
    const tool = await world.tool('charge', async (call, n) => (busy ? later(429)(call, n) : await ok()(call, n)));
    const agent = unique('agent');
    const call = { agent_id: agent, tool, args: {}, wait: 60 };
    const first = world.run(call);
    await waiting(agent, 1);
    await disable(agent);
    expect((await first).body.decision).toBe('blocked');
    await enable(agent);
    busy = false;
    expect((await world.run(call)).body).toMatchObject({ decision: 'executed' });
    expect(callsOf(tool).map(({ fence }) => fence)).toEqual([1, 2]);
  });
});

test('the switch answers at once, however much waits; what is left is settled behind it', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
  await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
  const calls: Answer[] = [];
  // A few at a time: what is looked at is how much waits, not how much comes at once.
  while (calls.length < 400)
    calls.push(
      ...(await Promise.all(
        Array.from({ length: 50 }, (_, n) => world.run({ agent_id: agent, tool, args: { n: calls.length + n } })),
      )),
    );
  expect(new Set(calls.map(({ body }) => body.policy_reason))).toEqual(new Set(['approval_required']));
  const { status, body } = await disable(agent);
  expect([status, body.is_enabled, body.stopped + body.stopping, body.in_flight]).toEqual([200, false, 400, 0]);
  const left = async () =>
    (await world.rest.get(`/v1/actions?agent_id=${agent}&status=waiting_approval&limit=1`)).body.items;
  await expect.poll(left, { timeout: 60_000 }).toEqual([]);
  expect(callsOf(tool)).toEqual([]);
  expect((await world.rest.get(`/v1/approvals?agent_id=${agent}&status=pending`)).body).toEqual([]);
});

test('the switch works while no worker does', async () => {
  const apart = await buildWorld({ roles: ['api', 'worker'] });
  try {
    const tool = await apart.tool('charge', later(429));
    const agent = unique('agent');
    const { body } = await apart.run({ agent_id: agent, tool, args: {}, spend_usd: 1 }, { prefer: 'wait=0' });
    await waiting(agent, 1, apart);
    await apart.kill('worker', 'SIGKILL');
    const disabled = await apart.rest.post(`/v1/agents/${agent}/disable`);
    expect(disabled.body).toMatchObject({ is_enabled: false, stopped: 1, in_flight: 0 });
    const action = await apart.rest.get(`/v1/actions/${body.action_id}`);
    expect(action.body).toMatchObject({ status: 'blocked', policy_reason: 'agent_disabled' });
    await apart.start('worker');
    await expect.poll(() => isOpen(apart, body.workflow_id), { timeout: 60_000 }).toBe(false);
    expect(apart.receiver.calls).toHaveLength(1);
  } finally {
    await apart.close();
  }
});

test('an operator who cancels a workflow between two attempts ends its action', async () => {
  const tool = await world.tool('charge', later(429));
  const agent = unique('agent');
  const call = world.run({ agent_id: agent, tool, args: {}, spend_usd: 1, wait: 60 });
  await waiting(agent, 1);
  const [row] = await world.query('select workflow_id from actions where agent_id = $1', [agent]);
  await cancelWorkflow(world, String(row?.workflow_id));
  expect((await call).body).toMatchObject({ decision: 'failed', result: { error: 'canceled' } });
  expect(await heldMicros(agent)).toEqual({ held_micros: '0', spent_micros: '0' });
});

const cancelWorkflow = (where: World, workflowId: string) =>
  inTemporal(where, (client) => client.workflow.getHandle(workflowId).cancel());

const isOpen = (where: World, workflowId: string) =>
  inTemporal(where, async (client) => {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING';
  });

/** What an operator does past the product. */
async function inTemporal<T>({ env }: World, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: env.TEMPORAL_ADDRESS });
  try {
    return await work(new Client({ connection }));
  } finally {
    await connection.close();
  }
}
