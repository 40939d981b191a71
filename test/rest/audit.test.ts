import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

type Item = Record<string, unknown> & { type: string; ts: string };
type List = { items: Item[]; next_cursor: string | null };
type Query = Record<string, string | number>;

const path = (query: Query) => `/v1/audit?${new URLSearchParams(query as Record<string, string>)}`;
const list = async (query: Query, { rest } = world): Promise<List> => (await rest.get(path(query))).body;
const download = ({ rest }: World, query: Query, signal?: AbortSignal) =>
  fetch(`${rest.url}${path(query)}`, {
    headers: { authorization: `Bearer ${rest.key}` },
    ...(signal && { signal }),
  });

const typesOf = ({ items }: List) => items.map(({ type }) => type);

/** An agent with a policy, an executed, a repeated, a failed and a blocked call. */
async function busyAgent() {
  const [works, fails] = [await world.tool('works', ok()), await world.tool('fails', fail(400))];
  const agent = unique('agent');
  await world.rest.post(`/v1/policies/${agent}`, { max_calls_per_tool: { [works]: 1 } });
  for (const n of [1, 1, 2]) await world.run({ agent_id: agent, tool: works, args: { n }, spend_usd: 1.5 });
  await world.run({ agent_id: agent, tool: fails });
  return { agent, works, fails };
}

describe('the audit trail', () => {
  test('shows each line with its decision and its policy, the latest first', async () => {
    const { agent, works } = await busyAgent();
    const { items, next_cursor } = await list({ agent_id: agent });
    expect(items.map(({ type, decision }) => [type, decision])).toEqual([
      ['action_failed', 'failed'],
      ['action_admitted', 'allowed'],
      ['action_blocked', 'blocked'],
      ['action_dedup', 'dedup'],
      ['action_executed', 'executed'],
      ['action_admitted', 'allowed'],
      ['policy_set', null],
    ]);
    expect(next_cursor).toBeNull();
    expect(items[4]).toEqual({
      seq: null,
      ts: expect.stringMatching(/^\d{4}-.*Z$/),
      type: 'action_executed',
      actor: expect.stringMatching(/^key_/),
      claimed_actor: null,
      agent_id: agent,
      tool: works,
      tool_version: 1,
      action_id: expect.stringMatching(/^act_/),
      key: expect.stringMatching(/^action\/default\//),
      decision: 'executed',
      policy_reason: 'ok',
      policy_version: 1,
      spend_usd: 1.5,
      args_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      reason: null,
      detail: null,
      prev_hash: null,
      hash: null,
    });
  });

  test('is filtered by agent, tool, type, decision and time, in any combination', async () => {
    const { agent, works, fails } = await busyAgent();
    expect(typesOf(await list({ agent_id: agent, tool: fails }))).toEqual(['action_failed', 'action_admitted']);
    expect(typesOf(await list({ tool: works, type: 'tool_created' }))).toEqual(['tool_created']);
    expect(typesOf(await list({ agent_id: agent, decision: 'blocked' }))).toEqual(['action_blocked']);
    expect(typesOf(await list({ agent_id: agent, tool: works, decision: 'failed' }))).toEqual([]);
    expect(typesOf(await list({ agent_id: unique('nobody') }))).toEqual([]);
    const moment = (await list({ agent_id: agent, type: 'action_blocked' })).items[0]?.ts ?? '';
    await world.query(`update audit set ts = $2 where agent_id = $1 and type = 'action_blocked'`, [agent, moment]);
    const before = typesOf(await list({ agent_id: agent, to: moment }));
    const since = typesOf(await list({ agent_id: agent, from: moment }));
    expect(since).toEqual(['action_failed', 'action_admitted', 'action_blocked']);
    expect(before).toEqual(['action_dedup', 'action_executed', 'action_admitted', 'policy_set']);
    const [year, zone] = ['2020-01-01', encodeURIComponent('2020-01-01T00:00:00+02:00')];
    expect((await world.rest.get(`/v1/audit?to=${year}`)).body.items).toEqual([]);
    expect((await world.rest.get(`/v1/audit?to=${zone}`)).body.items).toEqual([]);
  });

  test('in pages shows each line once, whatever is added meanwhile', async () => {
    const { agent } = await busyAgent();
    await world.query(`update audit set ts = '2026-01-01T00:00:00.000001Z' where agent_id = $1`, [agent]);
    const whole = await list({ agent_id: agent });
    const queries: Query[] = [{ agent_id: agent }, { agent_id: agent, decision: 'allowed' }];
    for (const query of queries) {
      const pages: List[] = [await list({ ...query, limit: 1 })];
      await world.rest.post(`/v1/agents/${agent}/disable`);
      for (let cursor = pages[0]?.next_cursor; cursor; cursor = pages.at(-1)?.next_cursor) {
        pages.push(await list({ ...query, limit: 1, cursor }));
      }
      const matching = whole.items.filter(
        ({ decision }) => query.decision === undefined || decision === query.decision,
      );
      expect(pages.flatMap(({ items }) => items)).toEqual(matching);
    }
  });

  test.each(['limit=0', 'limit=1001', 'cursor=x', 'from=yesterday', 'to=1', 'format=xml', 'tool=a%20b'])(
    'refuses %s',
    async (query) => {
      expect((await world.rest.get(`/v1/audit?${query}`)).status).toBe(422);
    },
  );

  test('refuses a cursor that another list has given', async () => {
    await busyAgent();
    const { body } = await world.rest.get('/v1/actions?limit=1');
    expect((await world.rest.get(`/v1/audit?cursor=${body.next_cursor}`)).status).toBe(422);
  });
});

describe('an export', () => {
  test('as NDJSON is what the pages show', async () => {
    const { agent } = await busyAgent();
    const response = await download(world, { agent_id: agent, format: 'ndjson', limit: 1 });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    const lines = (await response.text()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual((await list({ agent_id: agent })).items);
  });

  test('as CSV has a header, quotes what has to be, and holds no formula', async () => {
    const agent = `=1+1,"${unique('agent')}"`;
    await world.rest.post(`/v1/agents/${encodeURIComponent(agent)}/disable`);
    const response = await download(world, { agent_id: agent, format: 'csv' });
    const [header, line, ...rest] = (await response.text()).split('\r\n');
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="audit.csv"');
    expect(header).toBe(Object.keys((await list({ limit: 1 })).items[0] ?? {}).join(','));
    expect(line).toContain(`,agent_disabled,key_`);
    expect(line).toContain(`,"'${agent.replaceAll('"', '""')}",`);
    expect(rest).toEqual(['']);
  });

  test('of nothing is empty, or a header alone', async () => {
    const agent_id = unique('nobody');
    expect(await (await download(world, { agent_id, format: 'ndjson' })).text()).toBe('');
    expect(await (await download(world, { agent_id, format: 'csv' })).text()).toMatch(/^seq,ts,[a-z_,]+\r\n$/);
  });
});

describe('a trail of 200,000 lines', () => {
  const agent = unique('agent');
  let large: World;
  beforeAll(async () => {
    // A small heap, so that what the process holds is what it needs and not what it has not yet thrown away.
    large = await buildWorld({ roles: ['api'], env: { NODE_OPTIONS: '--max-old-space-size=96' } });
    await large.query(
      `insert into audit (tenant, ts, type, agent_id, key, args_hash, decision)
       select 'default', now() - n * interval '1 second', case when n = 150000 then 'rare' else 'action_executed' end, $1,
              repeat('k', 400) || n, repeat('0', 64), 'executed' from generate_series(1, 200000) n`,
      [agent],
    );
    await large.query('analyze audit');
  });
  afterAll(() => large.close());

  test.each(['ndjson', 'csv'] as const)('is exported whole as %s, in bounded memory', async (format) => {
    const before = await residentMiB(large);
    const response = await download(large, { agent_id: agent, format });
    let [lines, peak, chunks] = [0, 0, 0];
    for await (const chunk of response.body ?? []) {
      for (const byte of chunk) if (byte === 10) lines += 1;
      chunks += 1;
      if (chunks % 200 === 0) peak = Math.max(peak, await residentMiB(large));
    }
    expect(lines).toBe(format === 'csv' ? 200_001 : 200_000);
    // All of it together takes 160 MiB.
    expect(peak - before).toBeLessThan(64);
  });

  test('is searched for its rare lines by the page', async () => {
    const { items, next_cursor } = await list({ agent_id: agent, type: 'rare' }, large);
    expect([items.map(({ type }) => type), next_cursor]).toEqual([['rare'], null]);
  });

  test('is no longer read once the client hangs up', async () => {
    const abort = new AbortController();
    const response = await download(large, { agent_id: agent, format: 'ndjson' }, abort.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    abort.abort();
    const reading = `select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                     and state = 'active' and query like '%walked%'`;
    await expect.poll(() => large.query(reading), { timeout: 30_000 }).toEqual([]);
    expect((await large.rest.get('/v1/me')).status).toBe(200);
  });

  test.each([
    ['a page', `where tenant = 'default' and (ts, id) < (now(), 1)`, 'audit_recent'],
    ['a page of a span of time', `where tenant = 'default' and ts >= now() - interval '1 day'`, 'audit_recent'],
    ['a page of an agent', `where tenant = 'default' and agent_id = 'another' and ts < now()`, 'audit_agent'],
    ['the feed', `where tenant = 'default' and action_id is null`, 'audit_feed'],
  ])('is listed by an index: %s', async (_name, where, index) => {
    const plan = await large.query(`explain select * from audit ${where} order by ts desc, id desc limit 100`);
    expect(JSON.stringify(plan)).toMatch(new RegExp(`Index Scan(?: Backward)? using ${index}`));
    expect(JSON.stringify(plan)).not.toContain('Sort');
  });
});

async function residentMiB({ processes }: World): Promise<number> {
  const status = await readFile(`/proc/${processes.get('api')?.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
