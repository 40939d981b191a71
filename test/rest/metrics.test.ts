import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, hangUp, ok } from '../../src/dev/behaviours.ts';
import { freePort } from '../../src/dev/ports.ts';
import type { Postgres } from '../../src/dev/postgres.ts';
import { migrate } from '../../src/store/migrate.ts';
import { eventually } from '../faults/scene.ts';
import { parseExposition, type Sample } from '../stack/exposition.ts';
import { type Outage, privatePostgres } from '../stack/outage.ts';
import { buildWorld, SECRET, unique, type World } from '../stack/world.ts';

async function scrape(url: string): Promise<{ text: string; samples: Sample[] }> {
  const response = await fetch(`${url}/metrics`);
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ]);
  const text = await response.text();
  return { text, samples: parseExposition(text) };
}

/** The value of a metric under these labels, other labels added up; undefined where there is none. */
function read(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): number | undefined {
  const found = samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return found.length === 0 ? undefined : found.reduce((total, { value }) => total + value, 0);
}

describe('an API with its worker', () => {
  let world: World;
  beforeAll(async () => {
    world = await buildWorld();
  });
  afterAll(() => world.close());

  /** What a counter counts more after some work than before. */
  async function growth(name: string, label: string, work: () => Promise<unknown>): Promise<Record<string, number>> {
    const before = (await scrape(world.rest.url)).samples;
    await work();
    const after = (await scrape(world.rest.url)).samples.filter((sample) => sample.name === name);
    const grown = after.map(({ labels, value }): [string, number] => [
      `${labels[label]}${labels.policy_reason ? ` ${labels.policy_reason}` : ''}`,
      value - (read(before, name, labels) ?? 0),
    ]);
    return Object.fromEntries(grown.filter(([, more]) => more > 0));
  }

  test('counts every answer of a governed call once, by decision and reason', async () => {
    const [works, breaks, doubtful] = [
      await world.tool('works', ok()),
      await world.tool('breaks', fail(400)),
      await world.tool('doubtful', hangUp('before_answer')),
    ];
    const [agent, disabled] = [unique('agent'), unique('agent')];
    await world.rest.post(`/v1/agents/${disabled}/disable`);
    const call = (tool: string, agent_id = agent) => world.run({ agent_id, tool, args: {}, spend_usd: 2.5 });
    const decided = await growth('onceonly_decisions_total', 'decision', async () => {
      for (const tool of [works, works, works, breaks, doubtful, doubtful, 'nowhere']) await call(tool);
      await call(works, disabled);
    });
    expect(decided).toEqual({
      'executed ok': 1,
      'dedup tool_idempotency': 2,
      'failed tool_error': 1,
      'in_doubt in_doubt': 2,
      'blocked agent_disabled': 1,
      'refused tool_not_found': 1,
    });
    await eventually(async () => {
      const { samples } = await scrape(world.rest.url);
      expect([
        read(samples, 'onceonly_open_actions'),
        read(samples, 'onceonly_in_doubt_actions'),
        read(samples, 'onceonly_held_usd'),
      ]).toEqual([1, 1, 2.5]);
    });

    const [action] = (await world.rest.get('/v1/actions?status=in_doubt')).body.items;
    const resolved = await growth('onceonly_decisions_total', 'decision', async () => {
      for (let n = 0; n < 2; n += 1) {
        await world.rest.post(`/v1/actions/${action.action_id}/resolve`, { outcome: 'executed', result: {} });
      }
    });
    expect(resolved).toEqual({ 'executed ok': 1 });
  });

  test('counts the calls of one key that came at once, one of them as executed', async () => {
    const tool = await world.tool('charge', ok());
    const call = { agent_id: unique('agent'), tool, args: {} };
    const decided = await growth('onceonly_decisions_total', 'decision', () =>
      Promise.all(Array.from({ length: 8 }, () => world.run(call))),
    );
    expect(decided).toEqual({ 'executed ok': 1, 'dedup tool_idempotency': 7 });
  });

  test('counts attempts to call a tool by what they came to', async () => {
    const flaky = await world.tool('flaky', fail(503, 1), { idempotent: true });
    const attempts = await growth('onceonly_tool_call_duration_seconds_count', 'outcome', () =>
      world.run({ agent_id: unique('agent'), tool: flaky, args: {} }),
    );
    expect(attempts).toEqual({ retry: 1, executed: 1 });
  });

  test('counts the answers of check-lock', async () => {
    const key = unique('key');
    const answers = await growth('onceonly_check_locks_total', 'status', async () => {
      for (let n = 0; n < 3; n += 1) await world.rest.post('/v1/check-lock', { key, ttl: 60 });
    });
    expect(answers).toEqual({ locked: 1, duplicate: 2 });
  });

  test('measures requests by the pattern of their route, whatever their path', async () => {
    const routes = await growth('onceonly_http_request_duration_seconds_count', 'route', async () => {
      for (const tool of ['a', 'b', 'c']) await world.rest.get(`/v1/tools/${tool}`);
      for (const path of ['/x', '/y', '/v1/zzz', '/v1/tools/%E0%A4%A']) await world.rest.get(path);
      await world.rest.get('/v1/check-lock');
    });
    expect(routes).toEqual({ '/v1/tools/:name': 3, unmatched: 4, '/v1/check-lock': 1, '/metrics': 1 });
    const { samples } = await scrape(world.rest.url);
    const of = (labels: Record<string, string>) =>
      read(samples, 'onceonly_http_request_duration_seconds_count', labels);
    expect(of({ method: 'GET', route: '/v1/tools/:name', status: '404' })).toBe(3);
    expect(of({ method: 'GET', route: '/v1/check-lock', status: '405' })).toBe(1);
  });

  test('tells of itself, its services and the SDK, and of no tenant, agent, tool or key', async () => {
    const [tool, agent, key] = [unique('tool'), unique('agent'), unique('key')];
    const rest = await world.tenant('tenant');
    const auth = { type: 'hmac_sha256', secret: SECRET };
    await rest.post('/v1/tools', { name: tool, url: world.receiver.endpoint(`/${tool}`, ok()), auth });
    await rest.post(`/v1/policies/${agent}`, { allowed_tools: [tool] });
    const { body } = await rest.post('/v1/ai/run', { agent_id: agent, tool, args: {} });
    expect(body.decision).toBe('executed');
    await rest.post('/v1/check-lock', { key, ttl: 60 });
    await rest.get(`/v1/agents/${agent}/logs`);
    const { text, samples } = await scrape(world.rest.url);
    for (const service of ['postgres', 'temporal', 'worker']) expect(read(samples, 'onceonly_up', { service })).toBe(1);
    expect(read(samples, 'process_resident_memory_bytes')).toBeGreaterThan(0);
    expect(read(samples, 'temporal_workflow_completed_total')).toBeGreaterThan(0);
    for (const name of [rest.tenant, rest.key, tool, agent, key]) expect(text).not.toContain(name);
    const words = new Set(samples.flatMap(({ labels }) => Object.keys(labels)));
    for (const word of ['tenant', 'agent', 'agent_id', 'tool', 'key']) expect(words).not.toContain(word);
  });
});

describe('a worker alone', () => {
  let postgres: Outage<Postgres>;
  let world: World;
  let url: string;
  beforeAll(async () => {
    postgres = await privatePostgres();
    await migrate({ DATABASE_URL: postgres.service.url });
    const port = String(await freePort());
    url = `http://127.0.0.1:${port}`;
    world = await buildWorld({
      roles: ['api', 'worker'],
      env: { DATABASE_URL: postgres.service.url, METRICS_PORT: port },
    });
  });
  afterAll(async () => {
    await world?.close();
    await postgres?.end();
  });

  test('answers its probes and its metrics where it is told to, and nothing else', async () => {
    const tool = await world.tool('charge', ok());
    await world.run({ agent_id: unique('agent'), tool, args: {} });
    const { samples } = await scrape(url);
    expect(read(samples, 'onceonly_decisions_total', { decision: 'executed' })).toBe(1);
    expect(read(samples, 'onceonly_up', { service: 'worker' })).toBe(1);
    // The settlement answers; the workflow closes a moment later.
    await expect
      .poll(async () => read((await scrape(url)).samples, 'temporal_workflow_completed_total'), { timeout: 20_000 })
      .toBeGreaterThanOrEqual(1);
    expect(read((await scrape(world.rest.url)).samples, 'onceonly_decisions_total')).toBeUndefined();
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ checks: { worker: true, temporal: true } });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/v1/me`)).status).toBe(404);
  });

  test('goes on telling while the database is away, and what it cannot know is absent', async () => {
    await postgres.takeDown();
    for (const where of [url, world.rest.url]) {
      await eventually(async () => {
        const { samples } = await scrape(where);
        expect(read(samples, 'onceonly_up', { service: 'postgres' })).toBe(0);
        for (const name of ['onceonly_open_actions', 'onceonly_in_doubt_actions', 'onceonly_held_usd']) {
          expect(read(samples, name)).toBeUndefined();
        }
        expect(read(samples, 'process_resident_memory_bytes')).toBeGreaterThan(0);
      });
    }
    await postgres.bringBack();
    await eventually(async () => {
      const { samples } = await scrape(url);
      expect(read(samples, 'onceonly_up', { service: 'postgres' })).toBe(1);
      expect(read(samples, 'onceonly_open_actions')).toBe(0);
    });
  });
});
