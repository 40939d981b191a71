import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const typesOf = async (run: string) => {
  const { total, events } = (await world.rest.get(`/v1/runs/${run}`)).body;
  const types = events.map(({ type }: { type: string }) => type);
  expect(total).toBe(types.length);
  return types;
};

test.each(['run_started', 'tool_call', 'tool_result', 'run_finished'])(
  'the server alone writes %s: from a caller it is 422',
  async (type) => {
    const run = unique('run');
    const refused = await world.rest.post('/v1/events', { run_id: run, type });
    expect([refused.status, refused.body.detail[0].loc]).toEqual([422, ['body', 'type']]);
    expect((await world.rest.get(`/v1/runs/${run}`)).status).toBe(404);
  },
);

test('a run begins with run_started once, also where an event of the caller’s own was there before', async () => {
  const [agent, tool, run] = [unique('agent'), await world.tool('charge', ok()), unique('run')];
  await world.rest.post('/v1/events', { run_id: run, type: 'note' });
  for (const n of [1, 2]) await world.run({ agent_id: agent, tool, args: { n, run_id: run } });
  const call = ['tool_call', 'tool_result', 'run_finished'];
  expect(await typesOf(run)).toEqual(['note', 'run_started', ...call, ...call]);
});

test.each([0, 1])(
  'a run of %i actions tells its beginning and its end, whatever its caller has said before',
  async (count) => {
    const [agent, tool, key] = [unique('agent'), await world.tool('charge', ok()), unique('run')];
    await world.rest.post('/v1/events', { run_id: key, type: 'note', req_id: 'mine' }, { 'idempotency-key': key });
    const actions = Array.from({ length: count }, () => ({ tool }));
    await world.rest.post('/v1/ai/run', { key, metadata: { agent_id: agent, actions } });
    await expect
      .poll(async () => (await world.rest.get(`/v1/ai/status?key=${key}`)).body.status, { timeout: 30_000 })
      .toBe('completed');
    const types = await typesOf(key);
    expect(types.filter((type: string) => type === 'run_started')).toHaveLength(1);
    expect(types.filter((type: string) => type === 'run_finished')).toHaveLength(1);
    expect(types.at(-1)).toBe('run_finished');
  },
);

test('what an earlier version took from a caller does not stand for the server’s own end', async () => {
  const [agent, tool, key] = [unique('agent'), await world.tool('charge', ok()), unique('run')];
  // As it was stored then, for every run to come.
  await world.query(
    `create function forge() returns trigger language plpgsql as $$ begin
       insert into events (tenant, run_id, type, req_id, fingerprint)
       values (new.tenant, new.run_id, 'run_finished', new.req_id, 'a caller''s');
       return new; end $$`,
  );
  await world.query(
    `create trigger forge after insert on events for each row when (new.type = 'run_started') execute function forge()`,
  );
  try {
    await world.rest.post('/v1/ai/run', { key, metadata: { agent_id: agent, actions: [{ tool }] } });
    await expect
      .poll(async () => (await world.rest.get(`/v1/ai/status?key=${key}`)).body.status, { timeout: 30_000 })
      .toBe('completed');
    const { events } = (await world.rest.get(`/v1/runs/${key}`)).body;
    expect(events.filter(({ type }: { type: string }) => type === 'run_finished')).toHaveLength(2);
  } finally {
    await world.query('drop trigger forge on events');
  }
});
