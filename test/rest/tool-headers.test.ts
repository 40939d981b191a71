import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { callsOf } from '../faults/scene.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const headers = { Authorization: 'Bearer of-the-gateway', 'X-Team': 'payments', 'User-Agent': 'theirs/1' };
const call = (tool: string) => world.run({ agent_id: unique('agent'), tool, args: {} });
const lastOf = (tool: string) => callsOf(world, tool).at(-1)?.headers ?? {};

test('headers of a tool go with its calls, and are shown by their names only', async () => {
  const tool = await world.tool('behind-a-gateway', ok(), { headers });
  const { body } = await call(tool);
  expect(body.decision).toBe('executed');
  expect(lastOf(tool)).toMatchObject({
    authorization: headers.Authorization,
    'x-team': 'payments',
    'user-agent': 'theirs/1',
    'idempotency-key': body.action_id,
  });
  const shown = [
    (await world.rest.get(`/v1/tools/${tool}`)).body,
    (await world.rest.get('/v1/tools')).body,
    body,
    (await world.rest.get(`/v1/actions/${body.action_id}`)).body,
    await world.query('select * from audit where tool = $1', [tool]),
    await world.query("select t::text, encode(headers_cipher, 'escape') from tools t where name = $1", [tool]),
  ];
  expect(shown[0].headers).toEqual(['Authorization', 'User-Agent', 'X-Team']);
  expect(JSON.stringify(shown)).not.toContain('of-the-gateway');
});

test('they stay where none are named, and go where none are wanted', async () => {
  const tool = await world.tool('edited', ok(), { headers });
  const { body } = await world.rest.get(`/v1/tools/${tool}`);
  const edit = (fields: object) => world.rest.post('/v1/tools', { name: tool, url: body.url, dedup_ttl: 0, ...fields });
  await edit({});
  await call(tool);
  expect(lastOf(tool).authorization).toBe(headers.Authorization);
  await edit({ headers: { 'X-Team': 'billing' } });
  await call(tool);
  expect(lastOf(tool)).toMatchObject({ 'x-team': 'billing' });
  expect(lastOf(tool).authorization).toBeUndefined();
  expect((await edit({ headers: {} })).body.headers).toEqual([]);
  await call(tool);
  expect(lastOf(tool)['x-team']).toBeUndefined();
});
