import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

type Item = { action_id: string; status: string; agent_id: string; created_at: string };
type List = { items: Item[]; next_cursor: string | null };
const list = async (query: Record<string, string | number>): Promise<List> =>
  (await world.rest.get(`/v1/actions?${new URLSearchParams(query as Record<string, string>)}`)).body;
const idsOf = ({ items }: List) => items.map((item) => item.action_id);

/** Every page of a list, one after the other. */
async function pages(query: Record<string, string | number>): Promise<List[]> {
  const read: List[] = [];
  for (let cursor: string | null | undefined; cursor !== null; cursor = read.at(-1)?.next_cursor ?? null) {
    read.push(await list({ ...query, ...(cursor && { cursor }) }));
  }
  return read;
}

describe('the list of actions', () => {
  test('shows what each action came to, the latest first, without its result', async () => {
    const [works, fails] = [await world.tool('works', ok()), await world.tool('fails', fail(400))];
    const agent = `${unique('agent')} with a space`;
    const executed = (await world.run({ agent_id: agent, tool: works, spend_usd: 2 })).body;
    await world.run({ agent_id: agent, tool: works, spend_usd: 2 });
    const failed = (await world.run({ agent_id: agent, tool: fails })).body;
    const { items, next_cursor } = await list({ agent_id: agent });
    expect(items).toMatchObject([
      { action_id: failed.action_id, status: 'failed', tool: fails, decision: 'failed', policy_reason: 'tool_error' },
      { action_id: executed.action_id, status: 'executed', tool: works, spend_usd: 2, fence: 1, agent_id: agent },
    ]);
    expect(next_cursor).toBeNull();
    expect(Object.keys(items[0] ?? {})).not.toContain('result');
    const {
      result: _result,
      attempts: _attempts,
      ...one
    } = (await world.rest.get(`/v1/actions/${failed.action_id}`)).body;
    expect(items[0]).toEqual(one);
  });

  test('is filtered by status and agent', async () => {
    const tool = await world.tool('works', ok());
    const [agent, other] = [unique('agent'), unique('agent')];
    for (const agent_id of [agent, other]) await world.run({ agent_id, tool });
    await world.rest.post(`/v1/agents/${agent}/disable`);
    await world.run({ agent_id: agent, tool, args: { n: 2 } });
    const statuses = async (query: Record<string, string>) => (await list(query)).items.map(({ status }) => status);
    expect(await statuses({ agent_id: agent })).toEqual(['blocked', 'executed']);
    expect(await statuses({ agent_id: agent, status: 'blocked' })).toEqual(['blocked']);
    expect(await statuses({ agent_id: other, status: 'blocked' })).toEqual([]);
    expect(await statuses({ agent_id: agent, status: 'waiting_approval' })).toEqual([]);
    expect((await list({ status: 'blocked' })).items.every(({ status }) => status === 'blocked')).toBe(true);
    expect((await world.rest.get('/v1/actions?status=lost')).status).toBe(422);
  });

  test('in pages shows each action once, also those of one moment, whatever is added meanwhile', async () => {
    const tool = await world.tool('works', ok());
    const agent = unique('agent');
    for (let n = 0; n < 7; n += 1) await world.run({ agent_id: agent, tool, args: { n } });
    await world.query(`update actions set created_at = '2026-01-01T00:00:00.123456Z' where agent_id = $1`, [agent]);
    await world.run({ agent_id: agent, tool, args: { n: 7 } });
    const whole = idsOf(await list({ agent_id: agent }));
    const first = await list({ agent_id: agent, limit: 3 });
    await world.run({ agent_id: agent, tool, args: { n: 8 } });
    const second = await list({ agent_id: agent, limit: 3, cursor: first.next_cursor ?? '' });
    const third = await list({ agent_id: agent, limit: 3, cursor: second.next_cursor ?? '' });
    expect([first, second, third].flatMap(idsOf)).toEqual(whole);
    expect(third.next_cursor).toBeNull();
    expect((await pages({ agent_id: agent, limit: 3 })).map(({ items }) => items.length)).toEqual([3, 3, 3]);
  });

  test.each(['x', '%00', '1', '1.', '1.a%00b', '.act_1'])('refuses the cursor %s', async (cursor) => {
    const { status, body } = await world.rest.get(`/v1/actions?cursor=${cursor}`);
    expect([status, body.detail[0].loc]).toEqual([422, ['query', 'cursor']]);
  });
});
