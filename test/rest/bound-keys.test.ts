import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { createRest, type Rest } from '../stack/rest.ts';
import { buildWorld, SECRET, unique, type World } from '../stack/world.ts';

let world: World;
/** Bound to `mine`, with every scope that a bound key may have. */
let bound: Rest;
const [mine, theirs] = [unique('mine'), unique('theirs')];
let tool: string;
beforeAll(async () => {
  world = await buildWorld();
  tool = await world.tool('charge', ok());
  const { body } = await world.rest.post('/v1/keys', {
    name: 'bound',
    scopes: ['agent', 'operator', 'auditor'],
    agent_ids: [mine],
  });
  expect(body.agent_ids).toEqual([mine]);
  bound = createRest(world.rest.url, body.key);
});
afterAll(() => world.close());

const notPermitted = { status: 403, body: { detail: { error: 'agent_not_permitted' } } };
const call = (rest: Rest, agent: string, args: object = {}) =>
  rest.post('/v1/ai/run', { agent_id: agent, tool, args, spend_usd: 1 });

test('it acts for its agents and for no other, wherever one is named', async () => {
  expect((await call(bound, mine)).body.decision).toBe('executed');
  const metadata = { agent_id: theirs, actions: [] };
  const auth = { type: 'hmac_sha256', secret: SECRET };
  const named: Array<[string, object]> = [
    ['/v1/ai/run', { agent_id: theirs, tool }],
    ['/v1/ai/run', { key: unique('run'), metadata }],
    ['/v1/ai/lease', { key: unique('lease'), metadata: { agent_id: theirs } }],
    ['/v1/events', { run_id: 'r', type: 'note', agent_id: theirs }],
    [`/v1/policies/${theirs}`, {}],
    [`/v1/policies/${theirs}/simulate`, { call: { tool } }],
    [`/v1/agents/${theirs}/disable`, {}],
    ['/v1/tools', { name: unique('t'), url: 'http://127.0.0.1:1/', auth, scope_id: `agent:${theirs}` }],
    ['/v1/tools', { name: unique('t'), url: 'http://127.0.0.1:1/', auth }],
    [`/v1/tools/${tool}/toggle`, { enabled: false }],
    ['/v1/kill', { scope: 'tenant' }],
  ];
  for (const [path, body] of named) expect([path, await bound.post(path, body)]).toMatchObject([path, notPermitted]);
  for (const path of [`/v1/agents/${theirs}/logs`, `/v1/policies/${theirs}`, `/v1/actions?agent_id=${theirs}`])
    expect([path, await bound.get(path)]).toMatchObject([path, notPermitted]);
  expect(await bound.delete(`/v1/tools/${tool}`)).toMatchObject(notPermitted);
});

test('it cannot pass for its agent by another form of its name', async () => {
  const { body } = await world.rest.post('/v1/keys', { name: unique('key'), agent_ids: ['ke\u0301vin'] });
  const rest = createRest(world.rest.url, body.key);
  expect(body.agent_ids).toEqual(['k\u00e9vin']);
  expect((await call(rest, 'k\u00e9vin')).body.decision).toBe('executed');
  expect((await call(rest, 'ke\u0301vin', { again: 1 })).body.decision).toBe('executed');
  expect(await call(rest, 'kevin')).toMatchObject(notPermitted);
  const lease = await rest.post('/v1/ai/lease', { key: unique('lease'), metadata: { agent_id: 'ke\u0301vin' } });
  expect(lease.body.status).toBe('acquired');
});

test('a lease of another agent is neither read nor changed; one of nobody is', async () => {
  const [key, free] = [unique('lease'), unique('lease')];
  const { lease_id } = (await world.rest.post('/v1/ai/lease', { key, metadata: { agent_id: theirs } })).body;
  for (const path of ['extend', 'complete', 'cancel'])
    expect(await bound.post(`/v1/ai/${path}`, { key, lease_id })).toMatchObject(notPermitted);
  expect(await bound.post('/v1/ai/fail', { key, lease_id, error_code: 'x' })).toMatchObject(notPermitted);
  expect(await bound.get(`/v1/ai/status?key=${key}`)).toMatchObject(notPermitted);
  expect(await bound.get(`/v1/ai/result?key=${key}`)).toMatchObject(notPermitted);
  expect(await bound.post('/v1/ai/lease', { key })).toMatchObject(notPermitted);
  expect((await world.rest.post('/v1/ai/complete', { key, lease_id, result: {} })).status).toBe(200);
  expect(await bound.get(`/v1/ai/result?key=${key}`)).toMatchObject(notPermitted);

  await world.rest.post('/v1/ai/lease', { key: free });
  expect((await bound.get(`/v1/ai/status?key=${free}`)).body.status).toBe('in_progress');
  expect((await bound.post('/v1/ai/lease', { key: free })).body.status).toBe('polling');

  const run = unique('run');
  await world.rest.post('/v1/ai/run', { key: run, metadata: { agent_id: theirs, actions: [] } });
  expect(await bound.get(`/v1/ai/result?key=${run}`)).toMatchObject(notPermitted);
});

test('its lists show what is of its agents, and single things of others are refused', async () => {
  const [run, secret] = [unique('run'), unique('secret')];
  const own = (await call(bound, mine, { run_id: run, own: true })).body;
  const other = (await call(world.rest, theirs, { run_id: run, secret })).body;
  await world.rest.post(`/v1/policies/${theirs}`, { require_approval: [tool] });
  await bound.post(`/v1/policies/${mine}`, { require_approval: [tool] });
  const waiting = (await world.rest.post('/v1/ai/run', { agent_id: theirs, tool, args: { secret, n: 2 }, wait: 0 }))
    .body;
  await world.rest.post('/v1/events', { run_id: run, type: 'note', agent_id: theirs, message: secret });
  await world.rest.post('/v1/events', { run_id: `${run}/theirs`, type: 'note', agent_id: theirs });
  await world.rest.post('/v1/tools', {
    name: unique('hidden'),
    url: world.receiver.endpoint('/hidden', ok()),
    auth: { type: 'hmac_sha256', secret: SECRET },
    scope_id: `agent:${theirs}`,
  });

  const paths = ['/v1/actions', '/v1/audit', '/v1/audit?format=ndjson', '/v1/policies', '/v1/approvals', '/v1/runs'];
  for (const path of [...paths, `/v1/runs/${run}`, '/v1/events?limit=500', '/v1/tools?scope_id=all']) {
    const response = await fetch(`${bound.url}${path}`, { headers: { authorization: `Bearer ${bound.key}` } });
    const text = await response.text();
    expect([path, response.status]).toEqual([path, 200]);
    for (const word of [theirs, secret]) expect([path, text.includes(word)]).toEqual([path, false]);
  }
  const ids = (await bound.get('/v1/actions')).body.items.map(({ action_id }: { action_id: string }) => action_id);
  expect(ids).toContain(own.action_id);
  const { total, events } = (await bound.get(`/v1/runs/${run}`)).body;
  expect([total, new Set(events.map(({ agent_id }: { agent_id: string }) => agent_id))]).toEqual([4, new Set([mine])]);
  expect((await bound.get('/v1/runs')).body.items.map(({ run_id }: { run_id: string }) => run_id)).toContain(run);
  expect((await bound.get(`/v1/runs/${encodeURIComponent(`${run}/theirs`)}`)).status).toBe(404);

  const [approval] = (await world.rest.get(`/v1/approvals?agent_id=${theirs}`)).body;
  expect(approval.action_id).toBe(waiting.action_id);
  for (const path of [`actions/${other.action_id}`, `approvals/${approval.id}`, `decisions/${other.action_id}/explain`])
    expect([path, await bound.get(`/v1/${path}`)]).toMatchObject([path, notPermitted]);
  for (const path of [`approvals/${approval.id}/approve`, `approvals/${approval.id}/deny`])
    expect([path, await bound.post(`/v1/${path}`, {})]).toMatchObject([path, notPermitted]);
  expect(await bound.post(`/v1/actions/${other.action_id}/resolve`, { outcome: 'not_executed' })).toMatchObject(
    notPermitted,
  );
});

test('an event of a key that speaks for one agent is that agent’s', async () => {
  const run = unique('run');
  await bound.post('/v1/events', { run_id: run, type: 'note' });
  expect((await bound.get(`/v1/runs/${run}`)).body.events).toMatchObject([{ type: 'note', agent_id: mine }]);
});

test.each([
  [{ agent_ids: [] }],
  [{ agent_ids: 'mine' }],
  [{ agent_ids: [' mine'] }],
  [{ agent_ids: ['mine'], scopes: ['admin'] }],
])('a key cannot be bound with %j', async (fields) => {
  expect((await world.rest.post('/v1/keys', { name: 'n', ...fields })).status).toBe(422);
});
