import { readdir } from 'node:fs/promises';
import { Agent, request } from 'undici';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { ok, slow } from '../../src/dev/behaviours.ts';
import { actionThatIs, callsOf, eventually } from '../faults/scene.ts';
import type { Rest } from '../stack/rest.ts';
import { buildWorld, SECRET, unique, type World, type WorldOptions } from '../stack/world.ts';

let world: World;
const build = async (options: WorldOptions = {}) => {
  world = await buildWorld(options);
};
afterEach(() => world.close());

/** One socket for each caller, as they come from anywhere. */
const sockets = new Agent({
  connections: 8_000,
  pipelining: 1,
  connect: { timeout: 60_000 },
  headersTimeout: 180_000,
  bodyTimeout: 180_000,
});
afterAll(() => sockets.destroy());

interface Answered {
  readonly status: number;
  readonly decision: string;
  readonly action: string;
  readonly body: unknown;
}

/** One answer, or how the connection broke: a test that ends before all have theirs has nothing else to say. */
async function call(body: object, signal?: AbortSignal): Promise<Answered> {
  try {
    const answer = await request(`${world.rest.url}/v1/ai/run`, {
      method: 'POST',
      dispatcher: sockets,
      headers: { authorization: `Bearer ${world.rest.key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
    const parsed = (await answer.body.json()) as { decision?: string; action_id?: string };
    const { decision = JSON.stringify(parsed), action_id: action = '' } = parsed;
    return { status: answer.statusCode, decision, action, body: parsed };
  } catch (error) {
    return { status: 0, decision: signal?.aborted ? 'hung up' : String(error), action: '', body: undefined };
  }
}

/** Another tenant, with a tool of its own. */
async function neighbour(): Promise<{ ask(): Promise<[number, string]> }> {
  const rest: Rest = await world.tenant('neighbour');
  const name = unique('tool');
  const url = world.receiver.endpoint(`/${name}`, ok());
  expect((await rest.post('/v1/tools', { name, url, auth: { type: 'hmac_sha256', secret: SECRET } })).status).toBe(200);
  let n = 0;
  return {
    async ask() {
      n += 1;
      const { status, body } = await rest.post('/v1/ai/run', { agent_id: 'other', tool: name, args: { n } });
      return [status, body.decision ?? body.detail?.error];
    },
  };
}

/** Connections of the product, as the kernel tells: to ask it for its metrics would be work beside what is measured here. */
async function openDescriptors(): Promise<number> {
  const pid = world.processes.get('all')?.pid ?? world.processes.get('api')?.pid;
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Who is to wait comes at a pace at which the system does not drop connections, and then waits. */
async function come<T>(count: number, one: (n: number) => Promise<T>): Promise<Array<Promise<T>>> {
  const before = await openDescriptors();
  const coming: Array<Promise<T>> = [];
  // Give or take the connections that the process opens and closes for itself.
  const arrived = () => before + coming.length - 50;
  while (coming.length < count) {
    for (let n = 0; n < 200 && coming.length < count; n += 1) coming.push(one(coming.length));
    await eventually(async () => expect(await openDescriptors()).toBeGreaterThanOrEqual(arrived()));
  }
  return coming;
}

function tally(answers: readonly Answered[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, decision } of answers)
    counts[`${status} ${decision}`] = (counts[`${status} ${decision}`] ?? 0) + 1;
  return counts;
}

/** Calls that wait for a person, each under a key of its own. */
async function askedFor(keys: number) {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
  const calls = Array.from({ length: keys }, (_, n) => ({
    agent_id: agent,
    tool,
    args: { n },
    idempotency_key: unique('key'),
  }));
  const pending = await Promise.all(calls.map(async (one) => (await world.run(one)).body));
  expect(pending.map(({ decision }) => decision)).toEqual(Array(keys).fill('pending'));
  const actions = pending.map(({ action_id }) => String(action_id));
  return {
    tool,
    calls,
    actions,
    async approveAll() {
      for (const action of actions) {
        const { status } = await world.rest.post(`/v1/approvals/${action.replace('act_', 'apr_')}/approve`, {});
        expect(status).toBe(200);
      }
    },
  };
}

test('five thousand who wait for approvals keep nobody from being served, and each hears of the outcome', async () => {
  await build();
  const [keys, callersOfEach] = [50, 100];
  const other = await neighbour();
  const { tool, calls, actions, approveAll } = await askedFor(keys);
  const answered: Answered[] = [];
  const callers = await come(keys * callersOfEach, async (n) => {
    // Who has waited as long as anybody may, and was told that it is pending, asks again.
    for (;;) {
      const answer = await call({ ...calls[n % keys], wait: 60 });
      answered.push(answer);
      if (answer.status !== 202) return { ...answer, n: n % keys };
    }
  });
  for (let n = 0; n < 10; n += 1) {
    expect(await other.ask()).toEqual([200, 'executed']);
    expect((await world.rest.get('/readyz')).status).toBe(200);
  }
  expect(answered.filter(({ status }) => status !== 202)).toEqual([]);
  expect(callsOf(world, tool)).toEqual([]);

  await approveAll();
  const answers = await Promise.all(callers);
  expect(tally(answers)).toEqual({ '200 dedup': keys * callersOfEach });
  for (const { n, action, body } of answers) {
    expect(action).toBe(actions[n]);
    expect(body).toMatchObject({ ok: true, result: { args: { n } } });
  }
  expect(callsOf(world, tool)).toHaveLength(keys);
  expect(await other.ask()).toEqual([200, 'executed']);
}, 240_000);

test('those who hang up take nothing from another tenant, and their calls are made all the same', async () => {
  await build();
  const [keys, joiners, starters] = [24, 1_200, 100];
  const other = await neighbour();
  const { tool: refund, calls, actions, approveAll } = await askedFor(keys);
  const joining = Array.from({ length: joiners }, () => new AbortController());
  const joined = await come(joiners, (n) => call({ ...calls[n % keys], wait: 60 }, joining[n]?.signal));

  // These hang up as soon as their tool has been asked for the first time, which wants to be asked once more.
  const agent = unique('agent');
  const leavings = Array.from({ length: starters }, () => new AbortController());
  const seen = new Set<number>();
  const work = ok();
  const charge = await world.tool('charge', (received, n) => {
    const which = Number(Object(received.body.args).n);
    if (seen.has(which)) return work(received, n);
    seen.add(which);
    leavings[which]?.abort();
    return { status: 429, headers: { 'retry-after': '1' } };
  });
  const started = leavings.map(({ signal }, n) =>
    call({ agent_id: agent, tool: charge, args: { n }, wait: 60 }, signal),
  );
  expect(tally(await Promise.all(started))).toEqual({ '0 hung up': starters });

  for (const leaving of joining) leaving.abort();
  for (let n = 0; n < 20; n += 1) {
    expect(await other.ask()).toEqual([200, 'executed']);
    expect((await world.rest.get('/readyz')).status).toBe(200);
  }
  expect(tally(await Promise.all(joined))).toEqual({ '0 hung up': joiners });

  await eventually(async () => {
    const rows = await world.query('select status, count(*)::integer from actions where agent_id = $1 group by 1', [
      agent,
    ]);
    expect(rows).toEqual([{ status: 'executed', count: starters }]);
  });
  expect(callsOf(world, charge)).toHaveLength(2 * starters);
  await approveAll();
  for (const action of actions) await actionThatIs(world, action, 'executed');
  expect(callsOf(world, refund)).toHaveLength(keys);
  expect([...world.receiver.effects.values()].filter((times) => times !== 1)).toEqual([]);
}, 240_000);

test('hundreds who call at once are all accepted, however long the last of them waits to be started', async () => {
  await build();
  const [agent, callers] = [unique('agent'), 256];
  const tool = await world.tool('charge', ok());
  const answers = await Promise.all(
    Array.from({ length: callers }, (_, n) => call({ agent_id: agent, tool, args: { n }, wait: 60 })),
  );
  expect(tally(answers)).toEqual({ '200 executed': callers });
  expect(callsOf(world, tool)).toHaveLength(callers);
}, 240_000);

describe('a wait that is short', () => {
  test.each(['all', 'api and worker'])('says that the call is under way, never that it is not (%s)', async (roles) => {
    await build({ roles: roles === 'all' ? ['all'] : ['api', 'worker'] });
    const [agent, calls] = [unique('agent'), 100];
    const tool = await world.tool('slow', slow(4_000));
    const numbers = Array.from({ length: calls }, (_, n) => n).values();
    const answers: Answered[] = [];
    const client = async () => {
      for (const n of numbers) {
        const wait = n % 10 === 0 ? 0 : n % 10 === 1 ? 0.05 : Math.random() / 5;
        const answer = await call({ agent_id: agent, tool, args: { n }, wait });
        answers.push(answer);
        const read = await world.rest.get(`/v1/actions/${answer.action}`);
        expect([read.status, read.body.action_id]).toEqual([200, answer.action]);
        expect(['pending', 'running', 'executed']).toContain(read.body.status);
      }
    };
    await Promise.all(Array.from({ length: 50 }, client));
    expect(tally(answers)).toEqual({ '202 pending': calls });
    for (const { action, body } of answers)
      expect(body).toMatchObject({
        ok: false,
        allowed: false,
        policy_reason: 'still_running',
        result: { action_id: action, status_url: `/v1/actions/${action}` },
      });
    expect(new Set(answers.map(({ action }) => action)).size).toBe(calls);
    await eventually(async () => {
      const rows = await world.query('select status, count(*)::integer from actions where agent_id = $1 group by 1', [
        agent,
      ]);
      expect(rows).toEqual([{ status: 'executed', count: calls }]);
    });
    expect(callsOf(world, tool)).toHaveLength(calls);
  });
});

describe('while no worker is there', () => {
  test('a call is accepted, can be read, and is made when one comes', async () => {
    await build({ roles: ['api'] });
    const [agent, tool] = [unique('agent'), await world.tool('charge', ok())];
    const one = { agent_id: agent, tool, args: { n: 1 }, spend_usd: 1 };
    const first = await world.run({ ...one, wait: 0.1 });
    expect([first.status, first.body]).toMatchObject([
      202,
      {
        ok: false,
        allowed: false,
        decision: 'pending',
        policy_reason: 'still_running',
        action_id: expect.stringMatching(/^act_/),
        result: { action_id: first.body.action_id, status_url: `/v1/actions/${first.body.action_id}` },
      },
    ]);
    const { action_id: action } = first.body;
    expect(await world.rest.get(`/v1/actions/${action}`)).toMatchObject({
      status: 200,
      body: { action_id: action, status: 'pending', decision: 'pending', agent_id: agent, tool, attempts: [] },
    });
    // A repeat, with and without patience, is the same call; another one is another.
    for (const wait of [0, 0.2]) expect((await world.run({ ...one, wait })).body.action_id).toBe(action);
    const second = await world.run({ ...one, args: { n: 2 }, wait: 0 });
    expect([second.status, second.body.action_id === action]).toEqual([202, false]);
    expect((await world.rest.get('/v1/actions/act_00000000000000000000000000000000')).status).toBe(404);

    const patient = world.run({ ...one, wait: 60 });
    await world.start('worker');
    expect((await patient).body).toMatchObject({ ok: true, decision: 'dedup', action_id: action });
    expect(await actionThatIs(world, action, 'executed')).toMatchObject({ spend_usd: 1 });
    await actionThatIs(world, second.body.action_id, 'executed');
    expect(callsOf(world, tool)).toHaveLength(2);
  });

  test('another tenant does not read what was accepted', async () => {
    await build({ roles: ['api'] });
    const { body } = await world.run({ agent_id: 'a', tool: await world.tool('charge', ok()), args: {}, wait: 0 });
    const other = await world.tenant('other');
    expect((await other.get(`/v1/actions/${body.action_id}`)).status).toBe(404);
  });
});
