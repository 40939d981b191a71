import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routes } from '../../src/api/routes/index.ts';
import { hasRedis } from '../stack/environment.ts';
import type { Answer, Rest } from '../stack/rest.ts';
import { buildWorld, type World } from '../stack/world.ts';
import { neverShown, type Probe, probes } from './isolation.probes.ts';
import { type FullTenant, fullTenant, type Names, namesOfNothing, newTenant, toolOf } from './isolation.scene.ts';

let world: World;
let theirs: FullTenant;
let reads: unknown;
const nothing = namesOfNothing();
beforeAll(async () => {
  // Redis, where there is one, is shared by all tenants too.
  world = await buildWorld({ redis: hasRedis() });
  theirs = await fullTenant(world);
  reads = await theirs.reads();
});
afterAll(() => world.close());

const methodOf = (route: string) => route.slice(0, route.indexOf(' ')) as 'get' | 'post' | 'patch' | 'delete';

/** What a new tenant is answered that asks about these names. */
async function asked(route: string, probe: Probe, names: Names): Promise<{ answer: Answer; rest: Rest }> {
  const rest = await newTenant(world);
  for (const [path, body] of probe.before?.(names, world) ?? []) {
    expect((await rest.post(path, body)).status).toBe(200);
  }
  const { path, body, headers } = probe.ask(names, world);
  const method = methodOf(route);
  const answer = method === 'post' ? await rest.post(path, body, headers) : await rest[method](path, body as never);
  return { answer, rest };
}

/** Without the names that were asked about, and without what is different each time. */
function plain({ status, body, headers }: Answer, names: Names) {
  let text = JSON.stringify(body);
  for (const [name, value] of Object.entries(names))
    text = text.replaceAll(JSON.stringify(value).slice(1, -1), `<${name}>`);
  text = text
    .replace(/"(act|apr|lease|sec|key)_[\w-]+"/g, '"$1_…"')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<moment>')
    .replace(/once_live_[\w-]+|once_live_….{4}/g, '<key>')
    // That a key is used is noted behind the answers.
    .replace(/"last_used_at":(null|"<moment>")/g, '"last_used_at":…')
    .replace(/"(workflow_id|run_id|charge_id|tenant|id|event_id|ts|key_id)":("[^"]*"|[\d.]+)/g, '"$1":…');
  const volatile = ['date', 'x-request-id', 'content-length', 'connection', 'keep-alive'];
  const shown = [...headers].filter(([name]) => !volatile.includes(name));
  return { status, text, headers: Object.fromEntries(shown) };
}

function expectNothingOfTheirs(answer: Answer, about: Names): void {
  let text = JSON.stringify([answer.body, [...answer.headers]]);
  for (const value of Object.values(about)) text = text.replaceAll(value, '');
  for (const value of [theirs.mark, ...theirs.secrets, ...neverShown]) expect(text).not.toContain(value);
}

test('every route is probed', () => {
  const all = routes.map(({ method, path }) => `${method} ${path}`);
  expect(Object.keys(probes).sort()).toEqual([...all].sort());
});

const table = Object.entries(probes).flatMap(([route, list]) =>
  list.map((probe) => [route, probe.what, probe] as const),
);

// No clock is needed to know that 404s tell nothing: each is the answer of one query with the tenant in its WHERE, which
// finds as little of another tenant's as of nobody's. What would tell is another status, hence a test of that alone.
describe('what another tenant has, to whoever asks about it', () => {
  test.each(table)('%s %s', async (route, _what, probe) => {
    const { answer } = await asked(route, probe, theirs.names);
    expect(answer).toMatchObject({ status: probe.status, ...(probe.says && { body: probe.says }) });
    if (Array.isArray(probe.says)) expect(answer.body).toHaveLength(probe.says.length);
    expectNothingOfTheirs(answer, theirs.names);
    const { answer: same } = await asked(route, probe, nothing);
    expect(plain(answer, theirs.names)).toEqual(plain(same, nothing));
  });

  test('stays as it was', async () => {
    expect(await theirs.reads()).toEqual(reads);
    const { lock, lease, leaseId } = theirs.names;
    const again = await theirs.rest.post('/v1/check-lock', { key: lock, ttl: 600, owner: theirs.mark });
    expect(again.body.status).toBe('locked');
    expect((await theirs.rest.post('/v1/ai/lease', { key: lease, owner: theirs.mark })).body.lease_id).toBe(leaseId);
  });
});

describe('two tenants with the same names', () => {
  test('make the same call twice: two workflows, two effects, two budgets', async () => {
    const call = { agent_id: 'same', tool: 'same', args: { n: 1 }, spend_usd: 3 };
    const answers: Answer[] = [];
    for (const rest of [await newTenant(world), await newTenant(world)]) {
      await rest.post('/v1/tools', toolOf(world, 'same'));
      await rest.post('/v1/policies/same', { max_spend_usd_per_day: 3 });
      answers.push(await rest.post('/v1/ai/run', call));
      expect((await rest.get('/v1/agents/same/metrics')).body).toMatchObject({ total_actions: 1, total_spend_usd: 3 });
      expect((await rest.get('/v1/usage?kind=ai')).body.usage).toBe(1);
    }
    expect(answers.map(({ body }) => body.decision)).toEqual(['executed', 'executed']);
    const [first, second] = answers.map(({ body }) => body);
    expect(first.workflow_id).not.toBe(second.workflow_id);
    const keys = [first, second].map(({ action_id }) => world.receiver.effects.get(action_id));
    expect(keys).toEqual([1, 1]);
  });

  test('a page of one begins behind no line of the other', async () => {
    const rest = await newTenant(world);
    for (const agent of ['a', 'b', 'c']) await rest.post(`/v1/agents/${agent}/disable`);
    const { auditCursor } = theirs.names;
    const own = (await rest.get('/v1/audit')).body.items;
    const behind = await rest.get(`/v1/audit?cursor=${auditCursor}`);
    expectNothingOfTheirs(behind, theirs.names);
    expect(own).toEqual(expect.arrayContaining(behind.body.items));
    expect(own).toHaveLength(4);
  });
});
