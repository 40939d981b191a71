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
const scopeError = (scope: string) => ({
  status: 403,
  body: { detail: { error: 'insufficient_scope', message: expect.any(String), scope } },
});
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
      scopes: ['read', 'write'],
      created_at: expect.stringMatching(/Z$/),
      expires_at: null,
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

describe('a scope', () => {
  test('read reads, and changes nothing', async () => {
    const rest = withKey((await make({ scopes: ['read'] })).key);
    expect((await rest.get('/v1/tools')).status).toBe(200);
    expect((await rest.post('/v1/policies/a/simulate', { days: 1 })).status).toBe(200);
    const change = { tenant: 'not even', a: 'schema is shown' };
    expect(await rest.post('/v1/check-lock', change)).toMatchObject(scopeError('write'));
    expect(await rest.delete(`/v1/tools/${unique('t')}`)).toMatchObject(scopeError('write'));
    expect(await rest.post('/v1/check-lock', '{not json')).toMatchObject(scopeError('write'));
  });

  test('write reads and writes, and has no say in keys and tenants', async () => {
    const rest = withKey((await make({ scopes: ['write'] })).key);
    expect((await rest.get('/v1/tools')).status).toBe(200);
    expect((await rest.post('/v1/check-lock', { key: unique('key') })).status).toBe(200);
    for (const answer of [
      await rest.get('/v1/keys'),
      await rest.post('/v1/keys', { name: 'n', scopes: ['admin'] }),
      await rest.delete('/v1/keys/any'),
      await rest.post('/v1/tenants', { tenant: 'any' }),
    ]) {
      expect(answer).toMatchObject(scopeError('admin'));
    }
  });

  test('admin may do everything', async () => {
    const rest = withKey((await make({ scopes: ['admin', 'admin'] })).key);
    expect((await rest.post('/v1/check-lock', { key: unique('key') })).status).toBe(200);
    expect(await make({ scopes: ['admin', 'read'] }, rest)).toMatchObject({ scopes: ['read', 'admin'] });
  });
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
    await make({ scopes: ['write'] }, rest);
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
      { type: 'key_created', data: { id, scopes: ['read', 'write'], expires_at: null } },
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
    const body = { name: unique('key'), scopes: ['read', 'write'] };
    const answers = await Promise.all([
      key(body),
      key({ ...body, scopes: ['write', 'read'] }),
      key({ ...body, scopes: null }),
    ]);
    const [first, ...others] = answers.map((answer) => answer.body);
    expect(others).toEqual([first, first]);
    expect((await key({ ...body, scopes: ['read'] })).body.id).not.toBe(first.id);
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
