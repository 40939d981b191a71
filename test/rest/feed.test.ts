import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

type Line = { ts: number; type: string; key?: string; agent_id?: string };
const feed = async (query = ''): Promise<Line[]> => (await world.rest.get(`/v1/events${query}`)).body;

describe('the feed', () => {
  test('tells of locks and leases, the latest first, and what was charged', async () => {
    const [lock, leased] = [unique('lock'), unique('lease')];
    for (let n = 0; n < 2; n += 1) await world.rest.post('/v1/check-lock', { key: lock, metadata: { a: 1 } });
    const lease = (await world.rest.post('/v1/ai/lease', { key: leased })).body;
    await world.rest.post('/v1/ai/lease', { key: leased });
    await world.rest.post('/v1/ai/extend', { key: leased, lease_id: lease.lease_id });
    await world.rest.post('/v1/ai/complete', { key: leased, lease_id: lease.lease_id, result: {} });
    const lines = (await feed()).filter(({ key }) => key === lock || key === leased);
    expect(lines).toMatchObject([
      { type: 'ai_completed', key: leased, charged: 0 },
      { type: 'ai_extended', key: leased, charged: 0 },
      { type: 'ai_in_progress', key: leased, charged: 0 },
      { type: 'ai_acquired', key: leased, charged: 1 },
      { type: 'duplicate', key: lock },
      { type: 'locked', key: lock, data: { metadata: { a: 1 } } },
    ]);
    expect(JSON.stringify(lines)).not.toContain(lease.lease_id);
    expect(lines.every(({ ts }) => Math.abs(ts - Date.now() / 1000) < 600)).toBe(true);
  });

  test('tells of changes to tools, policies and agents, and not of governed calls', async () => {
    const tool = await world.tool('charge', ok());
    const agent = unique('agent');
    await world.rest.post(`/v1/policies/${agent}`, { allowed_tools: [tool] });
    for (let n = 0; n < 2; n += 1) await world.run({ agent_id: agent, tool });
    await world.rest.post(`/v1/agents/${agent}/disable`, { reason: 'enough' });
    await world.run({ agent_id: agent, tool });
    const lines = await feed('?limit=3');
    expect(lines).toMatchObject([
      { type: 'agent_disabled', agent_id: agent, data: { reason: 'enough' } },
      { type: 'policy_set', agent_id: agent, version: 1, data: { before: null, after: { allowed_tools: [tool] } } },
      { type: 'tool_created', tool },
    ]);
  });

  test('is read in pages', async () => {
    const all = await feed('?limit=500');
    expect([await feed('?limit=2'), await feed('?limit=2&offset=2')].flat()).toEqual(all.slice(0, 4));
    expect(await feed(`?offset=${all.length}`)).toEqual([]);
  });

  test.each(['limit=0', 'limit=501', 'offset=-1', 'offset=100001'])('refuses %s', async (query) => {
    expect((await world.rest.get(`/v1/events?${query}`)).status).toBe(422);
  });
});
