import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createRest, type Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['all', 'api'] });
});
afterAll(() => world.close());

const withKey = (key: string, url = world.rest.url) => createRest(url, key);
const make = async (fields: Record<string, unknown> = {}, rest = world.rest) =>
  (await rest.post('/v1/keys', { name: unique('key'), ...fields })).body;
const trail = async (type: string, { rest } = world) =>
  (await rest.get(`/v1/audit?type=${type}&limit=1000`)).body.items as unknown[];
const invalid = { status: 403, body: { detail: 'Invalid API key' } };

/** A tenant of its own, and its first key. */
async function tenant(): Promise<Rest & { name: string }> {
  const name = unique('tenant');
  const { body } = await world.rest.post('/v1/tenants', { tenant: name });
  return { ...withKey(body.api_key), name };
}

describe('a new key', () => {
  test('is answered once with 201, works, and is listed without its secret', async () => {
    const name = unique('key');
    const { status, body, headers } = await world.rest.post('/v1/keys', { name });
    expect([status, headers.get('cache-control')]).toEqual([201, 'no-store']);
    expect(body).toEqual({
      id: expect.stringMatching(/^key_[0-9a-f]{16}$/),
      name,
      key: expect.stringMatching(/^once_live_[A-Za-z0-9_-]{32}$/),
      key_preview: `once_live_…${body.key.slice(-4)}`,
      scopes: ['agent'],
      agent_ids: null,
      created_at: expect.stringMatching(/Z$/),
      expires_at: null,
      last_used_at: null,
    });
    const { key, ...shown } = body;
    const listed = (await world.rest.get('/v1/keys')).body;
    expect(listed.find(({ id }: { id: string }) => id === body.id)).toEqual(shown);
    expect((await withKey(key).get('/v1/me')).body.key_preview).toBe(body.key_preview);
    const stored = await world.query('select k::text as row from api_keys k');
    expect(JSON.stringify([listed, stored, await trail('key_created')])).not.toContain(key.slice('once_live_'.length));
  });

  test.each([
    [{ name: '' }],
    [{ name: 'n', scopes: [] }],
    [{ name: 'n', scopes: ['owner'] }],
    [{ name: 'n', scopes: 'admin' }],
    [{ name: 'n', expires_at: '2020-01-01T00:00:00Z' }],
    [{ name: 'n', expires_at: '9999-12-31T23:59:59-14:00' }],
    [{ name: 'n', expires_at: 1_900_000_000 }],
    [{}],
  ])('is refused with %j', async (body) => {
    const before = (await world.rest.get('/v1/keys')).body;
    expect((await world.rest.post('/v1/keys', body)).status).toBe(422);
    expect((await world.rest.get('/v1/keys')).body).toEqual(before);
  });

  test('works until it expires', async () => {
    const key = await make({ expires_at: '2999-01-01T02:00:00+02:00' });
    expect(key.expires_at).toBe('2999-01-01T00:00:00.000Z');
    await world.query(`update api_keys set expires_at = now() - interval '1 second' where id = $1`, [key.id]);
    expect(await withKey(key.key).get('/v1/me')).toMatchObject(invalid);
  });
});

describe('changing a key', () => {
  test('gives it another name or end, and nothing else, on the record', async () => {
    const key = await make({ scopes: ['auditor'] });
    const name = unique('renamed');
    const changed = await world.rest.patch(`/v1/keys/${key.id}`, { name, scopes: ['admin'], agent_ids: ['a'] });
    const { key: _secret, ...shown } = key;
    expect([changed.status, changed.body]).toEqual([200, { ...shown, name, last_used_at: null }]);
    const until = '2999-01-01T00:00:00.000Z';
    expect((await world.rest.patch(`/v1/keys/${key.id}`, { expires_at: until })).body).toMatchObject({
      name,
      expires_at: until,
    });
    await world.rest.patch(`/v1/keys/${key.id}`, { name, expires_at: until });
    const changes = (await world.rest.get('/v1/events?limit=500')).body
      .filter((line: { type: string; data: { id: string } }) => line.type === 'key_changed' && line.data.id === key.id)
      .map(({ data }: { data: object }) => data);
    expect(changes).toEqual([
      { id: key.id, expires_at: until },
      { id: key.id, name },
    ]);
    expect((await withKey(key.key).get('/v1/me')).status).toBe(200);
  });

  test.each([[{ expires_at: '2020-01-01T00:00:00Z' }], [{ name: '' }], [{ expires_at: 'never' }]])(
    'is refused with %j',
    async (body) => {
      const key = await make();
      expect((await world.rest.patch(`/v1/keys/${key.id}`, body)).status).toBe(422);
    },
  );

  test('of an unknown, a revoked or another tenant’s key is 404', async () => {
    const [revoked, other] = [await make(), await make({}, await tenant())];
    await world.rest.delete(`/v1/keys/${revoked.id}`);
    for (const id of ['key_unknown', revoked.id, other.id]) {
      expect((await world.rest.patch(`/v1/keys/${id}`, { name: 'n' })).body.detail.error).toBe('key_not_found');
      expect((await world.rest.post(`/v1/keys/${id}/rotate`)).body.detail.error).toBe('key_not_found');
    }
    expect((await withKey(other.key).get('/v1/me')).status).toBe(200);
  });
});

describe('rotating a key', () => {
  const rotate = (id: string, body?: object, headers = {}, rest = world.rest) =>
    rest.post(`/v1/keys/${id}/rotate`, body, headers);
  const opens = async (key: string) => (await withKey(key).get('/v1/me')).status === 200;

  test('gives it another secret under the same id, and ends what it was', async () => {
    const key = await make({ scopes: ['auditor'], agent_ids: ['a'] });
    const { status, body, headers } = await rotate(key.id);
    expect([status, headers.get('cache-control')]).toEqual([201, 'no-store']);
    expect(body).toMatchObject({ id: key.id, name: key.name, scopes: ['auditor'], agent_ids: ['a'] });
    expect([body.previous_valid_until, body.key === key.key]).toEqual([null, false]);
    expect([await opens(body.key), await opens(key.key)]).toEqual([true, false]);
    expect(body.key_preview.slice(-4)).toBe(body.key.slice(-4));
    await vi.waitFor(async () => {
      const there = withKey(key.key, world.processes.get('api')?.url);
      expect(await there.get('/v1/me')).toMatchObject(invalid);
    }, 10_000);
    expect(JSON.stringify(await trail('key_rotated'))).not.toContain(body.key.slice('once_live_'.length));
  });

  test('leaves what it was for the overlap, through further rotations, until one without', async () => {
    const key = await make();
    const first = (await rotate(key.id, { overlap_seconds: 3600 })).body;
    const second = (await rotate(key.id, { overlap_seconds: 7200 })).body;
    expect(Date.parse(second.previous_valid_until) - Date.parse(first.previous_valid_until)).toBeGreaterThan(3_000_000);
    for (const one of [key, first, second]) expect(await opens(one.key)).toBe(true);
    await world.query(`update api_key_overlaps set valid_until = now() where hash = sha256($1::text::bytea)`, [
      key.key,
    ]);
    await vi.waitFor(async () => expect(await opens(key.key)).toBe(false), 10_000);
    const third = (await rotate(key.id)).body;
    expect([await opens(first.key), await opens(second.key), await opens(third.key)]).toEqual([false, false, true]);
  });

  test('is one rotation however often it is asked for, and another after a minute', async () => {
    const key = await make();
    const answers = await Promise.all([1, 2, 3].map(() => rotate(key.id, { overlap_seconds: 60 })));
    expect(new Set(answers.map(({ body }) => body.key)).size).toBe(1);
    await world.query(`update api_keys set rotated_at = rotated_at - interval '61 seconds' where id = $1`, [key.id]);
    expect((await rotate(key.id, { overlap_seconds: 60 })).body.key).not.toBe(answers[0]?.body.key);

    const id = { 'idempotency-key': unique('rotation') };
    const named = (await rotate(key.id, {}, id)).body;
    await world.query(`update api_keys set rotated_at = rotated_at - interval '23 hours' where id = $1`, [key.id]);
    expect((await rotate(key.id, {}, id)).body).toEqual(named);
    const other = await rotate(key.id, { overlap_seconds: 5 }, id);
    expect([other.status, other.body.detail.error]).toEqual([422, 'idempotency_mismatch']);
  });

  test('of the bootstrap key holds through a restart', async () => {
    const rest = await buildWorld({ roles: ['api'] });
    try {
      const admin = (await rest.rest.post('/v1/keys', { name: 'second', scopes: ['admin'] })).body;
      const [first] = (await rest.rest.get('/v1/keys')).body;
      const rotated = (await rotate(first.id, undefined, {}, withKey(admin.key, rest.rest.url))).body;
      await rest.kill('api', 'SIGTERM');
      const url = (await rest.start('api')).url;
      expect((await withKey(rotated.key, url).get('/v1/me')).status).toBe(200);
      expect(await withKey(rest.rest.key, url).get('/v1/me')).toMatchObject(invalid);
    } finally {
      await rest.close();
    }
  });

  test.each([[{ overlap_seconds: -1 }], [{ overlap_seconds: 2_592_001 }], [{ overlap_seconds: 0.5 }]])(
    'is refused with %j',
    async (body) => {
      const key = await make();
      expect((await rotate(key.id, body)).status).toBe(422);
      expect(await opens(key.key)).toBe(true);
    },
  );
});

test('a key tells when it was last used, to the minute', async () => {
  const key = await make();
  const read = async () =>
    (await world.rest.get('/v1/keys')).body.find(({ id }: { id: string }) => id === key.id).last_used_at;
  expect([key.last_used_at, await read()]).toEqual([null, null]);
  await withKey(key.key).get('/v1/me');
  const first = await vi.waitFor(async () => {
    const at = await read();
    expect(at).toMatch(/Z$/);
    return at;
  }, 10_000);
  await withKey(key.key).get('/v1/me');
  await withKey(key.key, world.processes.get('api')?.url).get('/v1/me');
  expect(await read()).toBe(first);
});

describe('revoking', () => {
  test('ends a key at once here, soon elsewhere, and keeps it on the record', async () => {
    const key = await make();
    const [here, there] = [withKey(key.key), withKey(key.key, world.processes.get('api')?.url)];
    expect([(await here.get('/v1/me')).status, (await there.get('/v1/me')).status]).toEqual([200, 200]);
    const { status, body } = await world.rest.delete(`/v1/keys/${key.id}`);
    expect([status, body]).toEqual([200, { ok: true, id: key.id }]);
    expect(await here.get('/v1/me')).toMatchObject(invalid);
    await vi.waitFor(async () => expect(await there.get('/v1/me')).toMatchObject(invalid), 10_000);
    const ids = (await world.rest.get('/v1/keys')).body.map(({ id }: { id: string }) => id);
    expect(ids).not.toContain(key.id);
    const rows = await world.query('select 1 from api_keys where id = $1 and revoked_at is not null', [key.id]);
    expect(rows).toHaveLength(1);
  });

  test('twice, or of an unknown key, is 404', async () => {
    const { id } = await make();
    await world.rest.delete(`/v1/keys/${id}`);
    for (const gone of [id, 'key_unknown']) {
      const { status, body } = await world.rest.delete(`/v1/keys/${gone}`);
      expect([status, body.detail.error]).toEqual([404, 'key_not_found']);
    }
  });

  test('leaves a tenant an admin key, also when two are revoked at once', async () => {
    const rest = await tenant();
    const [first] = (await rest.get('/v1/keys')).body;
    await make({ scopes: ['operator'] }, rest);
    const dead = await make({ scopes: ['admin'], expires_at: '2999-01-01T00:00:00Z' }, rest);
    await world.query(`update api_keys set expires_at = now() where id = $1`, [dead.id]);
    const refused = await rest.delete(`/v1/keys/${first.id}`);
    expect([refused.status, refused.body.detail.error]).toEqual([409, 'last_admin_key']);
    const second = await make({ scopes: ['admin'] }, rest);
    const answers = await Promise.all([first, second].map(({ id }) => rest.delete(`/v1/keys/${id}`)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  test('is on the trail with making, without any key', async () => {
    const rest = await tenant();
    const { id, key } = await make({}, rest);
    await rest.delete(`/v1/keys/${id}`);
    const [owner] = (await rest.get('/v1/keys')).body;
    const lines = (await rest.get('/v1/events')).body;
    expect(lines).toMatchObject([
      { type: 'key_revoked', data: { id } },
      { type: 'key_created', data: { id, scopes: ['agent'], agent_ids: null, expires_at: null } },
      { type: 'tenant_created', data: { tenant: rest.name } },
    ]);
    const actors = (await rest.get('/v1/audit')).body.items.map(({ actor }: { actor: string }) => actor);
    expect(actors).toEqual([owner.id, owner.id, 'operator']);
    expect(JSON.stringify(lines)).not.toContain(key);
  });
});

describe('a repeated request', () => {
  const key = (body: object, idempotencyKey?: string, rest = world.rest) =>
    rest.post('/v1/keys', body, idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey });

  test('for a key is the same request for 60 seconds, while that key is live', async () => {
    const body = { name: unique('key'), scopes: ['agent', 'operator'] };
    const answers = await Promise.all([
      key(body),
      key({ ...body, scopes: ['operator', 'agent'] }),
      key({ ...body, agent_ids: null }),
    ]);
    const [first, ...others] = answers.map((answer) => answer.body);
    expect(others).toEqual([first, first]);
    expect((await key({ ...body, scopes: ['auditor'] })).body.id).not.toBe(first.id);
    const lines = await world.query(`select 1 from audit where type = 'key_created' and detail->>'id' = $1`, [
      first.id,
    ]);
    expect(lines).toHaveLength(1);

    const another = await make({ scopes: ['admin'] });
    expect((await key(body, undefined, withKey(another.key))).body.key).not.toBe(first.key);
    await world.query(`update api_keys set created_at = created_at - interval '61 seconds' where id = $1`, [first.id]);
    const later = (await key(body)).body;
    expect(later.key).not.toBe(first.key);
    await world.rest.delete(`/v1/keys/${later.id}`);
    const renewed = (await key(body)).body;
    expect([first.key, later.key]).not.toContain(renewed.key);
    expect((await withKey(renewed.key).get('/v1/me')).status).toBe(200);
  });

  test('for a key under an Idempotency-Key is the same request for a day', async () => {
    const [name, id] = [unique('key'), unique('request')];
    const [first, again] = await Promise.all([key({ name }, id), key({ name }, id)]);
    expect([first.status, again.status, again.body]).toEqual([201, 201, first.body]);
    await world.query(`update api_keys set created_at = created_at - interval '23 hours' where id = $1`, [
      first.body.id,
    ]);
    expect((await key({ name }, id)).body.key).toBe(first.body.key);
    const other = await key({ name: unique('key') }, id);
    expect([other.status, other.body.detail.error]).toEqual([422, 'idempotency_mismatch']);
    expect((await key({ name }, unique('request'))).body.key).not.toBe(first.body.key);
    await world.query(`update api_keys set created_at = created_at - interval '2 hours' where id = $1`, [
      first.body.id,
    ]);
    expect((await key({ name }, id)).body.key).not.toBe(first.body.key);
  });

  test('with an unusable Idempotency-Key is refused', async () => {
    expect((await key({ name: 'n' }, 'x'.repeat(257))).status).toBe(422);
  });
});

describe('a tenant', () => {
  const create = (tenant: unknown, headers = {}, rest: Rest = world.rest) =>
    rest.post('/v1/tenants', { tenant }, headers);

  test('is made by the operator, with an admin key named first, and is empty', async () => {
    const name = unique('tenant');
    const { status, body } = await create(name);
    expect([status, body]).toEqual([201, { tenant: name, api_key: expect.stringMatching(/^once_live_/) }]);
    const rest = withKey(body.api_key);
    expect((await rest.get('/v1/keys')).body).toMatchObject([{ name: 'first', scopes: ['admin'], expires_at: null }]);
    expect((await rest.get('/v1/tools?scope_id=all')).body).toEqual([]);
    expect((await world.rest.get('/v1/events?limit=1')).body).toMatchObject([
      { type: 'tenant_created', data: { tenant: name } },
    ]);
  });

  test('is not made by another tenant', async () => {
    const { status, body } = await create(unique('tenant'), {}, await tenant());
    expect([status, body.detail.error]).toEqual([403, 'forbidden']);
  });

  test('is there once: its name is taken, also by two at once, and a repeat under an Idempotency-Key is answered', async () => {
    const [name, id] = [unique('tenant'), { 'idempotency-key': unique('request') }];
    const answers = await Promise.all([create(name, id), create(name, id), create(name)]);
    const made = answers.filter(({ status }) => status === 201).map(({ body }) => body);
    expect(new Set(made.map(({ api_key }) => api_key)).size).toBe(1);
    for (const taken of [name, 'default']) {
      const { status, body } = await create(taken);
      expect([status, body.detail.error]).toEqual([409, 'tenant_exists']);
    }
    expect((await withKey(made[0].api_key).get('/v1/keys')).body).toHaveLength(1);
  });

  test('under an Idempotency-Key that was used for another is a mismatch', async () => {
    const id = { 'idempotency-key': unique('request') };
    const [name, other] = [unique('tenant'), unique('tenant')];
    const first = await create(name, id);
    expect((await create(name, id)).body).toEqual(first.body);
    const { status, body } = await create(other, id);
    expect([status, body.detail.error]).toEqual([422, 'idempotency_mismatch']);
    expect((await create(other)).status).toBe(201);
  });

  test.each(['', 'Upper', 'with space', '-dash', 'x'.repeat(41), 7, null])('has not the name %j', async (name) => {
    expect((await create(name)).status).toBe(422);
  });
});

test('the OpenAPI document says which answers are 201 and 202', async () => {
  const { paths } = (await world.rest.get('/openapi.json')).body;
  const statuses = (path: string) => Object.keys(paths[path].post.responses).filter((status) => status < '300');
  expect(['/v1/keys', '/v1/tenants', '/v1/ai/run', '/v1/tools'].map(statuses)).toEqual([
    ['201'],
    ['201'],
    ['200', '202'],
    ['200'],
  ]);
});
