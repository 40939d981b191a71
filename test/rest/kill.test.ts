import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, ok, slow } from '../../src/dev/behaviours.ts';
import { callsOf, eventually } from '../faults/scene.ts';
import type { Rest } from '../stack/rest.ts';
import { buildWorld, SECRET, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const toolOf = async (rest: Rest, behaviour = ok(), fields: object = {}) => {
  const name = unique('tool');
  const url = world.receiver.endpoint(`/${name}`, behaviour);
  await rest.post('/v1/tools', { name, url, auth: { type: 'hmac_sha256', secret: SECRET }, ...fields });
  return name;
};
const run = (rest: Rest, agent: string, tool: string, args: object = {}, wait = 30) =>
  rest.post('/v1/ai/run', { agent_id: agent, tool, args, wait });
const killed = { decision: 'blocked', policy_reason: 'killed', allowed: false };

test('a killed tenant: no agent of it calls, known or new, also what is remembered; and another tenant goes on', async () => {
  const [rest, other] = [await world.tenant('killed'), await world.tenant('other')];
  const [tool, theirs] = [await toolOf(rest), await toolOf(other)];
  const first = await run(rest, 'a', tool);
  expect(first.body.decision).toBe('executed');
  const answer = await rest.post('/v1/kill', { scope: 'tenant', reason: 'x'.repeat(600) });
  expect([answer.status, answer.body]).toEqual([
    200,
    {
      scope: 'tenant',
      tool: null,
      is_killed: true,
      reason: 'x'.repeat(512),
      killed_at: expect.stringMatching(/Z$/),
      stopped: 0,
      stopping: 0,
      in_flight: 0,
    },
  ]);
  for (const [agent, args] of [
    ['a', {}],
    ['a', { n: 1 }],
    ['new', {}],
  ] as const)
    expect((await run(rest, agent, tool, args)).body).toMatchObject(killed);
  expect((await run(other, 'a', theirs)).body.decision).toBe('executed');
  expect(callsOf(world, tool)).toHaveLength(1);
  expect((await rest.get('/v1/kill')).body).toEqual({
    tenant: { killed_at: answer.body.killed_at, reason: 'x'.repeat(512) },
    tools: [],
  });
  const again = (await rest.post('/v1/kill', { scope: 'tenant' })).body;
  expect([again.killed_at, again.reason]).toEqual([answer.body.killed_at, 'x'.repeat(512)]);
  expect((await rest.post('/v1/unkill', { scope: 'tenant' })).body).toMatchObject({
    is_killed: false,
    killed_at: null,
  });
  expect((await run(rest, 'a', tool)).body.decision).toBe('dedup');
  expect((await run(rest, 'new', tool)).body.decision).toBe('executed');
  expect((await rest.get('/v1/kill')).body).toEqual({ tenant: null, tools: [] });
  const types = (await rest.get('/v1/audit')).body.items.map(({ type }: { type: string }) => type);
  expect(types.filter((type: string) => type.startsWith('tenant_'))).toEqual(['tenant_unkilled', 'tenant_killed']);
});

test('a killed tool: no agent calls it, in any scope, nor when it is registered anew; others are called', async () => {
  const rest = await world.tenant('tool');
  const [tool, other] = [await toolOf(rest), await toolOf(rest)];
  await rest.post('/v1/kill', { scope: 'tool', tool, reason: 'pays twice' });
  expect((await run(rest, 'a', tool)).body).toMatchObject(killed);
  expect((await run(rest, 'a', other)).body.decision).toBe('executed');
  await rest.delete(`/v1/tools/${tool}`);
  const url = world.receiver.endpoint(`/${tool}`, ok());
  const auth = { type: 'hmac_sha256', secret: SECRET };
  await rest.post('/v1/tools', { name: tool, url, auth, scope_id: 'agent:b' });
  expect((await run(rest, 'b', tool)).body).toMatchObject(killed);
  expect((await rest.get('/v1/kill')).body.tools).toMatchObject([{ tool, reason: 'pays twice' }]);
  await rest.post('/v1/unkill', { scope: 'tool', tool });
  expect((await run(rest, 'b', tool)).body.decision).toBe('executed');
});

test.each([
  [{ scope: 'tool' }, 422],
  [{ scope: 'tenant', tool: 't' }, 422],
  [{ scope: 'agent' }, 422],
  [{}, 422],
  [{ scope: 'tool', tool: 'mistyped' }, 404],
])('kill refuses %j with %i, and stops nothing', async (body, expected) => {
  const rest = await world.tenant('refused');
  expect((await rest.post('/v1/kill', body)).status).toBe(expected);
  expect((await rest.get('/v1/kill')).body).toEqual({ tenant: null, tools: [] });
});

test.each(['tenant', 'tool'] as const)('a kill of a %s stops what waits, and says truly what is out', async (scope) => {
  const rest = await world.tenant('stops');
  const waits = await toolOf(rest, fail(429), { max_retries: 10 });
  await rest.post('/v1/policies/careful', { require_approval: [waits] });
  const asked = (await run(rest, 'careful', waits, { n: 2 }, 0)).body;
  await eventually(async () => expect((await rest.get('/v1/approvals')).body).toHaveLength(1));
  const retried = (await run(rest, 'a', waits, { n: 1 }, 0)).body;
  await eventually(async () => {
    const { attempts } = (await rest.get(`/v1/actions/${retried.action_id}`)).body;
    // By then the next is far enough away.
    expect(attempts.length).toBeGreaterThan(2);
    expect(attempts.at(-1).ended_at).not.toBeNull();
  });
  const answer = (await rest.post('/v1/kill', { scope, ...(scope === 'tool' && { tool: waits }) })).body;
  expect(answer).toMatchObject({ stopped: 2, stopping: 0, in_flight: 0 });
  for (const { action_id } of [retried, asked])
    expect((await rest.get(`/v1/actions/${action_id}`)).body).toMatchObject({
      status: 'blocked',
      policy_reason: 'killed',
    });
});

test('a call that is out when its tenant is killed comes to its own end, and is counted', async () => {
  const rest = await world.tenant('out');
  const tool = await toolOf(rest, slow(1_500));
  const pending = run(rest, 'a', tool);
  await eventually(async () => expect(callsOf(world, tool)).toHaveLength(1));
  expect((await rest.post('/v1/kill', { scope: 'tenant' })).body).toMatchObject({ stopped: 0, in_flight: 1 });
  expect((await pending).body.decision).toBe('executed');
});

test('an attempt that is out when its tool is killed, and would be repeated much later, is the last', async () => {
  const rest = await world.tenant('last');
  let answer: () => void = () => undefined;
  const told = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const behaviour = async () => {
    await told;
    return { status: 429, headers: { 'retry-after': '600' }, body: {} };
  };
  const tool = await toolOf(rest, behaviour, { max_retries: 5 });
  const { action_id } = (await run(rest, 'a', tool, {}, 0)).body;
  await eventually(async () => expect(callsOf(world, tool)).toHaveLength(1));
  expect((await rest.post('/v1/kill', { scope: 'tool', tool })).body).toMatchObject({ stopped: 0, in_flight: 1 });
  answer();
  await expect
    .poll(async () => (await rest.get(`/v1/actions/${action_id}`)).body, { timeout: 20_000 })
    .toMatchObject({ status: 'blocked', policy_reason: 'killed' });
  expect(callsOf(world, tool)).toHaveLength(1);
});

test('of many calls at the moment of a kill, none reaches its tool after the answer', async () => {
  const rest = await world.tenant('moment');
  const tool = await toolOf(rest);
  const calls = Array.from({ length: 60 }, (_, n) => run(rest, `agent-${n}`, tool, { n }));
  await eventually(async () => expect(callsOf(world, tool).length).toBeGreaterThan(3));
  const { in_flight } = (await rest.post('/v1/kill', { scope: 'tenant' })).body;
  const reached = callsOf(world, tool).length;
  const decisions = (await Promise.all(calls)).map(({ body }) => body.decision);
  // Those in flight may have been on their way; nothing else was sent.
  expect(callsOf(world, tool).length).toBeLessThanOrEqual(reached + in_flight);
  expect(decisions.filter((decision) => decision === 'executed')).toHaveLength(callsOf(world, tool).length);
});
