import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api'] });
});
afterAll(() => world.close());

const auth = { type: 'hmac_sha256', secret: 'a-secret-nobody-sees' };
const save = (fields: Record<string, unknown>) =>
  world.rest.post('/v1/tools', { url: 'https://tools.example.com/x', auth, ...fields });

describe('a tool', () => {
  test('is registered with its defaults, and never shows its secret', async () => {
    const name = unique('tool');
    const { status, body } = await save({ name });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      name,
      scope_id: 'global',
      url: 'https://tools.example.com/x',
      auth: { type: 'hmac_sha256' },
      timeout_ms: 15_000,
      max_retries: 2,
      enabled: true,
      idempotent: false,
      dedup_ttl: 3600,
      has_secret: true,
      secret_mask: '***ees',
    });
    expect(body.secret_id).toMatch(/^sec_/);
    const shown = [
      body,
      (await world.rest.get(`/v1/tools/${name}`)).body,
      (await world.rest.get('/v1/tools?scope_id=all')).body,
    ];
    expect(JSON.stringify(shown)).not.toContain(auth.secret);
  });

  test('keeps its secret encrypted in the database', async () => {
    const name = unique('tool');
    await save({ name });
    const [row] = await world.query(
      "select t::text as text, encode(secret_cipher, 'escape') as cipher from tools t where name = $1",
      [name],
    );
    expect(JSON.stringify(row)).not.toContain(auth.secret);
  });

  test('is replaced by the same name and scope; its secret stays where none is given', async () => {
    const name = unique('tool');
    const first = await save({ name, description: 'one', timeout_ms: 500 });
    const edited = await save({ name, auth: undefined, description: 'two' });
    const renewed = await save({ name, auth: { ...auth, secret: 'another-secret' } });
    expect(edited.body).toMatchObject({ description: 'two', timeout_ms: 15_000, secret_id: first.body.secret_id });
    expect(renewed.body.secret_id).not.toBe(first.body.secret_id);
    expect(renewed.body.created_at).toBe(first.body.created_at);
  });

  test('that was switched off stays so when it is registered again, until that is asked for', async () => {
    const name = unique('tool');
    const { body: first } = await save({ name });
    await world.rest.post(`/v1/tools/${name}/toggle`, { enabled: false });
    for (const fields of [{}, { description: 'two' }, { enabled: null }, { auth: { ...auth, secret: 'another-one' } }])
      expect((await save({ name, ...fields })).body.enabled).toBe(false);
    const { body: before } = await save({ name });
    const { body: on } = await save({ name, enabled: true });
    expect([on.enabled, on.version, on.secret_id]).toEqual([true, before.version, before.secret_id]);
    expect(before.version).toBeGreaterThan(first.version);
    const [{ type, detail } = {}] = await world.query(
      'select type, detail from audit where tool = $1 order by id desc limit 1',
      [name],
    );
    expect([type, detail]).toEqual([
      'tool_enabled',
      { scope_id: 'global', before: { enabled: false }, after: { enabled: true } },
    ]);
  });

  test('that is switched off and registered at the same moments is off in the end', async () => {
    const name = unique('tool');
    await save({ name });
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        n === 10
          ? world.rest.post(`/v1/tools/${name}/toggle`, { enabled: false })
          : save({ name, description: `the ${n}th` }),
      ),
    );
    expect((await world.rest.get(`/v1/tools/${name}`)).body.enabled).toBe(false);
  });

  test('has a version that rises with each change, for ever, and its changes are told as they were and are', async () => {
    const name = unique('tool');
    const versions = [
      await save({ name, price_usd: 1 }),
      await save({ name, price_usd: 1 }),
      await save({ name, price_usd: 2, auth: undefined, headers: { 'X-Key': 'k' } }),
      await save({ name, price_usd: 2, auth: undefined, headers: { 'X-Key': 'other' } }),
    ].map(({ body }) => body.version);
    await world.rest.delete(`/v1/tools/${name}`);
    versions.push((await save({ name })).body.version);
    expect(versions).toEqual([1, 1, 2, 3, 4]);
    const trail = await world.query('select type, detail from audit where tool = $1 order by id', [name]);
    expect(trail).toMatchObject([
      { type: 'tool_created', detail: { before: null, after: { name, price_usd: 1, version: 1 } } },
      {
        type: 'tool_updated',
        detail: {
          scope_id: 'global',
          before: { price_usd: 1, headers: [], version: 1 },
          after: { price_usd: 2, headers: ['X-Key'], version: 2 },
        },
      },
      { type: 'tool_updated', detail: { before: { headers: ['X-Key'], version: 2 }, after: { headers: ['X-Key'] } } },
      { type: 'tool_deleted', detail: { before: { price_usd: 2, version: 3 }, after: null } },
      { type: 'tool_created', detail: { after: { version: 4 } } },
    ]);
    expect(JSON.stringify(trail)).not.toContain(auth.secret);
    expect(JSON.stringify(trail)).not.toContain('"k"');
  });

  test.each([
    [0.000001, 200],
    [0.29, 200],
    [1.1, 200],
    [0.1 + 0.2, 422],
    [456006150.38194317, 422],
    [999_999_999.999999, 200],
    [0, 200],
    [0.0000004, 422],
    [1.0000005, 422],
    [5e-324, 422],
  ])('may cost %s: %i', async (price_usd, expected) => {
    const { status, body } = await save({ name: unique('tool'), price_usd });
    expect(status).toBe(expected);
    if (status === 200) expect(body.price_usd).toBeCloseTo(price_usd, 9);
    else expect(body.detail).toMatchObject([{ type: 'multiple_of', loc: ['body', 'price_usd'] }]);
  });

  test('needs a secret when it is new', async () => {
    const { status, body } = await save({ name: unique('tool'), auth: undefined });
    expect([status, body.detail[0]]).toMatchObject([422, { type: 'missing', loc: ['body', 'auth'] }]);
  });

  test('is listed by scope', async () => {
    const name = unique('tool');
    await save({ name });
    await save({ name, scope_id: 'agent:a b' });
    const names = async (query: string) =>
      (await world.rest.get(`/v1/tools${query}`)).body
        .filter((tool: { name: string }) => tool.name === name)
        .map((tool: { scope_id: string }) => tool.scope_id);
    expect(await names('')).toEqual(['global']);
    expect(await names('?scope_id=agent%3Aa%20b')).toEqual(['agent:a b']);
    expect(await names('?scope_id=all')).toEqual(['agent:a b', 'global']);
  });

  test('is toggled and deleted in its scope', async () => {
    const name = unique('my.tool:v1');
    await save({ name });
    expect((await world.rest.post(`/v1/tools/${name}/toggle`, { enabled: false })).body).toEqual({
      name,
      enabled: false,
    });
    expect((await world.rest.get(`/v1/tools/${name}`)).body.enabled).toBe(false);
    expect((await world.rest.delete(`/v1/tools/${name}?scope_id=agent:x`)).status).toBe(404);
    expect((await world.rest.delete(`/v1/tools/${name}`)).body).toEqual({
      ok: true,
      deleted: name,
      scope_id: 'global',
    });
    const gone = [
      await world.rest.get(`/v1/tools/${name}`),
      await world.rest.delete(`/v1/tools/${unique('never')}`),
      await world.rest.post(`/v1/tools/${name}/toggle`, { enabled: true }),
    ];
    expect(gone.map(({ status, body }) => [status, body.detail.error])).toEqual(Array(3).fill([404, 'tool_not_found']));
    const again = await world.rest.delete(`/v1/tools/${name}`);
    expect([again.status, again.body]).toEqual([200, { ok: true, deleted: name, scope_id: 'global' }]);
    const trail = await world.query('select type from audit where tool = $1 order by id', [name]);
    expect(trail.map(({ type }) => type)).toEqual(['tool_created', 'tool_disabled', 'tool_deleted']);
  });

  test.each([
    { name: 'with space' },
    { name: '' },
    { name: 'x'.repeat(129) },
    { url: 'not a url' },
    { url: 'ftp://example.com' },
    { url: 'http://example.com/plain' },
    { url: 'https://169.254.169.254/latest' },
    { url: 'https://[::ffff:10.0.0.1]/' },
    { url: 'https://0x0a000001/' },
    { status_url: 'https://192.168.1.1/' },
    { timeout_ms: 249 },
    { timeout_ms: 120_001 },
    { max_retries: 11 },
    { price_usd: -1 },
    { dedup_ttl: -1 },
    { scope_id: 'team:x' },
    { auth: { type: 'basic', secret: 'long-enough' } },
    { auth: { type: 'hmac_sha256', secret: '1234567' } },
    { auth: { type: 'hmac_sha256', secret: 'whsec_not base64' } },
    ...[
      { 'X Key': 'v' },
      { '': 'v' },
      { 'X-Key': '' },
      { 'X-Key': 'a\r\nHost: b' },
      { 'X-Key': ' v' },
      { 'X-Key': 'é' },
      { 'X-Key': 5 },
      { Host: 'elsewhere' },
      { 'content-length': '5' },
      { 'Transfer-Encoding': 'chunked' },
      { 'Idempotency-Key': 'mine' },
      { 'X-OnceOnly-Fence': '9' },
      { 'Webhook-Id': 'mine' },
      { 'X-Key': 'a', 'x-key': 'b' },
      Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`X-${n}`, 'v'])),
      { A: 'x'.repeat(4_000), B: 'x'.repeat(4_000), C: 'x'.repeat(1_000) },
    ].map((headers) => ({ headers })),
  ])('is refused with %j', async (fields) => {
    const { status, body } = await save({ name: unique('tool'), ...fields });
    expect(status).toBe(422);
    expect(body.detail[0].loc[1]).toBe(Object.keys(fields)[0]);
  });

  test('whose headers are refused does not show them in the refusal', async () => {
    const { body } = await save({ name: unique('tool'), headers: { 'X-Key': 'a value\nof theirs' } });
    expect(body.detail).toMatchObject([{ loc: ['body', 'headers', 'X-Key'], input: null }]);
  });

  test('of a local receiver may be called where the operator allows it', async () => {
    expect((await save({ name: unique('tool'), url: `${world.receiver.url}/x` })).status).toBe(200);
  });

  test('saved by many at once is one tool', async () => {
    const name = unique('tool');
    const answers = await Promise.all(Array.from({ length: 20 }, () => save({ name })));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(await world.query('select 1 from tools where name = $1', [name])).toHaveLength(1);
  });
});

describe('a policy', () => {
  test('is stored by version, and answered with its stored fields only', async () => {
    const [tool, agent] = [unique('tool'), unique('agent')];
    await save({ name: tool });
    const policy = { allowed_tools: [tool], max_actions_per_hour: 5, pricing_rules: [{ tool, price_usd: 0.5 }] };
    const first = await world.rest.post(`/v1/policies/${agent}`, { agent_id: agent, ...policy, blocked_tools: null });
    const second = await world.rest.post(`/v1/policies/${agent}`, { max_spend_usd_per_day: 1.5 });
    expect(first.body).toEqual({ agent_id: agent, policy, policy_version: 1 });
    expect(second.body).toEqual({ agent_id: agent, policy: { max_spend_usd_per_day: 1.5 }, policy_version: 2 });
    expect((await world.rest.get(`/v1/policies/${agent}`)).body).toEqual(second.body);
    expect((await world.rest.get('/v1/policies')).body).toContainEqual(second.body);
    expect(await world.query('select version from policies where agent_id = $1', [agent])).toHaveLength(2);
  });

  test('names every unknown tool at once, and is then not stored', async () => {
    const [tool, agent] = [unique('tool'), unique('agent')];
    await save({ name: tool });
    const { status, body } = await world.rest.post(`/v1/policies/${agent}`, {
      allowed_tools: [tool, 'ghost.one'],
      blocked_tools: ['ghost.two'],
      max_calls_per_tool: { 'ghost.three': 1 },
      pricing_rules: [{ tool: 'ghost.four', price_usd: 1 }],
    });
    expect([status, body.detail.error]).toEqual([400, 'unknown_tools']);
    expect(body.detail.tools.sort()).toEqual(['ghost.four', 'ghost.one', 'ghost.three', 'ghost.two']);
    expect((await world.rest.get(`/v1/policies/${agent}`)).body.detail.error).toBe('policy_not_found');
  });

  test("knows the tools of the agent's own scope, and agents with a space in their name", async () => {
    const [tool, agent] = [unique('tool'), unique('agent of mine:1')];
    await save({ name: tool, scope_id: `agent:${agent}` });
    const saved = await world.rest.post(`/v1/policies/${encodeURIComponent(agent)}`, { allowed_tools: [tool] });
    const other = await world.rest.post(`/v1/policies/${unique('agent')}`, { allowed_tools: [tool] });
    expect([saved.status, saved.body.agent_id, other.status]).toEqual([200, agent, 400]);
  });

  test('replaced by many at once gets one version each', async () => {
    const agent = unique('agent');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => world.rest.post(`/v1/policies/${agent}`, { max_actions_per_hour: n })),
    );
    const versions = answers.map(({ body }) => body.policy_version).sort((a, b) => a - b);
    expect(versions).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  });

  test.each([
    { max_actions_per_hour: -1 },
    { max_actions_per_hour: 1.5 },
    { max_spend_usd_per_day: -0.01 },
    { max_calls_per_tool: { x: -1 } },
    { pricing_rules: [{ tool: 'x', price_usd: -1 }] },
    { allowed_tools: 'x' },
    { agent_id: 'someone else' },
  ])('is refused with %j', async (fields) => {
    const { status, body } = await world.rest.post(`/v1/policies/${unique('agent')}`, fields);
    expect(status).toBe(422);
    expect(body.detail[0].loc[1]).toBe(Object.keys(fields)[0]);
  });
});
