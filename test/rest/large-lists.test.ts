import { afterAll, beforeAll, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

/** 25 of what is nearly as large as a request may be: 6 MB in all. */
const MANY = 25;
const LARGE = 240_000;
const BOUND = 4 * 1024 * 1024 + LARGE;
const filling = 'x'.repeat(LARGE);
const numbers = Array.from({ length: MANY }, (_, n) => n);
const isLeftOut = (value: unknown): value is { bytes: number } =>
  typeof value === 'object' && value !== null && 'truncated' in value;
const sizeOf = (body: unknown) => Buffer.byteLength(JSON.stringify(body));

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api', 'worker'] });
});
afterAll(() => world.close());

/** What a list shows of its large members: how many are whole, and how large those that are not say they are. */
function split(members: readonly unknown[]) {
  const leftOut = members.filter(isLeftOut);
  expect(members.slice(0, members.length - leftOut.length).some(isLeftOut)).toBe(false);
  expect(members.length - leftOut.length).toBeGreaterThan(10);
  expect(leftOut.length).toBeGreaterThan(5);
  for (const { bytes } of leftOut) expect(bytes).toBeGreaterThan(200_000);
}

test('a timeline leaves data out behind 4 MiB, and a page that begins there shows it', async () => {
  const run = unique('run');
  for (const n of numbers) await world.rest.post('/v1/events', { run_id: run, type: 'step', data: { n, filling } });
  const { body } = await world.rest.get(`/v1/runs/${run}?limit=2000`);
  expect([body.total, body.events.length]).toEqual([MANY, MANY]);
  expect(sizeOf(body)).toBeLessThan(BOUND);
  split(body.events.map(({ data }: { data: unknown }) => data));
  const last = await world.rest.get(`/v1/runs/${run}?limit=1&offset=${MANY - 1}`);
  expect(last.body.events[0].data).toEqual({ n: MANY - 1, filling });
});

test('long messages of a timeline are cut behind 4 MiB', async () => {
  const run = unique('run');
  await world.query(
    `insert into events (tenant, run_id, type, message)
     select 'default', $1, 'step', repeat('😀', 4096) from generate_series(1, 1000)`,
    [run],
  );
  await world.query(
    `insert into runs (tenant, run_id, last_ts, last_type, events_count) values ('default', $1, now(), 'step', 1000)`,
    [run],
  );
  const { events } = (await world.rest.get(`/v1/runs/${run}?limit=1000`)).body;
  expect(sizeOf(events)).toBeLessThan(BOUND + 1000 * 1000);
  expect([[...events[0].message].length, [...events[999].message].length]).toEqual([4096, 128]);
});

test('tools and policies leave out their schemas and rules, and read by themselves they are whole', async () => {
  const { tenant, ...rest } = await world.tenant('large');
  const auth = { type: 'hmac_sha256', secret: 'a-secret-of-the-tests' };
  const names = numbers.map((n) => `tool-${String(n).padStart(2, '0')}-${'y'.repeat(110)}`);
  for (const name of names) {
    const tool = { name, url: 'https://example.com', auth, input_schema: { description: filling } };
    expect((await rest.post('/v1/tools', tool)).status).toBe(200);
  }
  const tools = (await rest.get('/v1/tools')).body;
  expect(sizeOf(tools)).toBeLessThan(BOUND);
  split(tools.map(({ input_schema }: { input_schema: unknown }) => input_schema));
  const last = await rest.get(`/v1/tools/${names.at(-1)}`);
  expect(last.body.input_schema).toEqual({ description: filling });

  const list = Array.from({ length: 900 }, (_, n) => names[n % MANY]);
  const policy = { allowed_tools: list, blocked_tools: list };
  for (const n of numbers) {
    expect((await rest.post(`/v1/policies/agent-${String(n).padStart(2, '0')}`, policy)).status).toBe(200);
  }
  const policies = (await rest.get('/v1/policies')).body;
  expect(sizeOf(policies)).toBeLessThan(BOUND);
  split(policies.map((one: { policy: unknown }) => one.policy));
  expect(policies.at(-1)).toMatchObject({ agent_id: 'agent-24', policy_version: 1 });
  expect((await rest.get('/v1/policies/agent-24')).body.policy).toEqual(policy);

  // Each policy is in the feed as well.
  const feed = (await rest.get('/v1/events?limit=500')).body;
  expect(sizeOf(feed)).toBeLessThan(BOUND);
  split(feed.filter(({ type }: { type: string }) => type === 'policy_set').map(({ data }: { data: unknown }) => data));
});

test('a page of approvals ends before it is too large, and its cursor goes on', async () => {
  const [agent, tool] = [unique('agent'), await world.tool('refund', ok())];
  await world.rest.post(`/v1/policies/${agent}`, { require_approval: [tool] });
  for (const n of numbers) await world.run({ agent_id: agent, tool, args: { n, filling } });
  const pages: Array<Array<{ args: { n: number } }>> = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query = cursor === '' ? '' : `&cursor=${cursor}`;
    const { body, headers } = await world.rest.get(`/v1/approvals?agent_id=${agent}&limit=1000${query}`);
    expect(sizeOf(body)).toBeLessThan(BOUND);
    pages.push(body);
    cursor = headers.get('x-next-cursor');
  }
  expect(pages.length).toBe(2);
  expect(pages.flat().map(({ args }) => args.n)).toEqual(numbers);

  // The same decisions, put to a draft: none is passed over where a page of them ends early.
  const simulated = await world.rest.post(`/v1/policies/${agent}/simulate`, {
    policy: { blocked_tools: [tool] },
    days: 1,
  });
  expect(simulated.body).toMatchObject({ replayed: MANY, complete: true, changed: MANY });
});
