import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api'], env: { MAX_BODY_BYTES: '4096' } });
});
afterAll(() => world.close());

const raw = (path: string, init: RequestInit) => fetch(`${world.rest.url}${path}`, { redirect: 'manual', ...init });
const key = () => ({ authorization: `Bearer ${world.rest.key}` });

describe('keys', () => {
  test.each(['/v1/me', '/v1/runs', '/v1/ai/status', '/v1/tools/x'])('%s tells nothing without one', async (path) => {
    const response = await raw(path, {});
    expect(response.status).toBe(401);
    expect(await response.json()).toEqual({ detail: 'Missing Authorization Bearer token' });
  });

  test('an unknown key is refused before anything else is looked at', async () => {
    const { status, body } = await createRest(world.rest.url, 'once_live_unknown_unknown').post(
      '/v1/check-lock',
      '{not json',
    );
    expect([status, body]).toEqual([403, { detail: 'Invalid API key' }]);
  });

  test('a disabled key says so', async () => {
    const rest = createRest(world.rest.url, 'once_live_disabled_disabled_1');
    await world.query(
      `insert into api_keys (id, tenant, name, hash, preview, scopes, is_active)
       values ('key_disabled', 'default', 'd', sha256($1::bytea), 'p', '{}', false)`,
      [rest.key],
    );
    expect(await rest.get('/v1/me')).toMatchObject({ status: 403, body: { detail: 'API key disabled' } });
  });

  test('are stored as their SHA-256 alone', async () => {
    const rows = await world.query('select * from api_keys');
    expect(JSON.stringify(rows)).not.toContain(world.rest.key.slice(12));
  });

  test('/v1/me tells what there is to tell', async () => {
    const { body } = await world.rest.get('/v1/me');
    expect(body).toMatchObject({
      plan: 'self_hosted',
      is_active: true,
      email: null,
      current_period_end: null,
      requests_total_all_time: expect.any(Number),
      blocked_total_all_time: expect.any(Number),
      email_notifications_enabled: expect.any(Boolean),
    });
    expect(world.rest.key.startsWith(body.key_preview.split('…')[0])).toBe(true);
    expect(body.key_preview).not.toBe(world.rest.key);
  });
});

describe('transport', () => {
  test('GET with a declared but empty body is answered', async () => {
    const answer = await new Promise<number>((resolve) => {
      const headers = { ...key(), 'content-type': 'application/json', 'content-length': '0' };
      request(`${world.rest.url}/v1/me`, { method: 'GET', headers }, (response) =>
        resolve(response.statusCode ?? 0),
      ).end();
    });
    expect(answer).toBe(200);
  });

  test('a trailing slash is not a redirect', async () => {
    expect((await world.rest.get('/v1/me/')).status).toBe(200);
  });

  test('unknown paths are 404, other methods 405 with Allow', async () => {
    const [unknown, method] = [await world.rest.get('/v1/nothing'), await world.rest.get('/v1/check-lock')];
    expect([unknown.status, unknown.body]).toEqual([404, { detail: 'Not Found' }]);
    expect([method.status, method.headers.get('allow'), method.body.detail.error]).toEqual([
      405,
      'POST',
      'method_not_allowed',
    ]);
    expect((await world.rest.delete('/v1/tools')).headers.get('allow')).toBe('POST, GET');
  });

  test('X-Request-Id comes back, or is made', async () => {
    const given = await world.rest.get('/v1/me', { 'x-request-id': 'mine-1' });
    expect(given.headers.get('x-request-id')).toBe('mine-1');
    expect((await raw('/v1/none', {})).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each([
    ['{not json', 'application/json', 422, 'json_invalid'],
    ['', 'application/json', 422, 'missing'],
    ['null', 'application/json', 422, 'object_type'],
    ['[]', 'application/json', 422, 'object_type'],
  ])('a body of %j is 422 %s', async (body, type, status, error) => {
    const response = await raw('/v1/check-lock', { method: 'POST', body, headers: { ...key(), 'content-type': type } });
    const { detail } = (await response.json()) as { detail: Array<{ type: string; loc: string[] }> };
    expect([response.status, detail[0]?.type, detail[0]?.loc[0]]).toEqual([status, error, 'body']);
  });

  test('a body that is not declared JSON is 415, one over the limit 413', async () => {
    const body = JSON.stringify({ key: 'k' });
    const text = await raw('/v1/check-lock', {
      method: 'POST',
      body,
      headers: { ...key(), 'content-type': 'text/plain' },
    });
    const large = await world.rest.post('/v1/check-lock', { key: 'k', padding: 'x'.repeat(5000) });
    expect([text.status, large.status]).toEqual([415, 413]);
    expect(large.body.detail.error).toBe('payload_too_large');
  });

  test('unknown fields are ignored, null counts as absent', async () => {
    const body = { key: unique('key'), ttl: null, owner: null, metadata: null, whatever: { a: 1 } };
    expect((await world.rest.post('/v1/check-lock', body)).body.status).toBe('locked');
  });

  test.each(['limit=0', 'limit=501', 'limit=x', 'offset=-1'])('a list refuses %s', async (query) => {
    const { status, body } = await world.rest.get(`/v1/runs?${query}`);
    expect([status, body.detail[0].loc[0]]).toEqual([422, 'query']);
  });

  test('errors never show a stack or a secret', async () => {
    const secret = 'sh'; // shorter than 8: refused
    const tool = { name: 't', url: 'https://example.com/x', auth: { type: 'hmac_sha256', secret } };
    const { status, body } = await world.rest.post('/v1/tools', tool);
    expect(status).toBe(422);
    expect(body.detail[0]).toMatchObject({ loc: ['body', 'auth', 'secret'], input: null });
  });

  test('broken percent-encoding in a path is the caller’s fault', async () => {
    expect((await world.rest.get('/v1/tools/%E0%A4%A')).status).toBeLessThan(500);
  });
});

describe('reference', () => {
  test('the OpenAPI document names every route and is open to all', async () => {
    const document = (await (await raw('/openapi.json', {})).json()) as {
      openapi: string;
      paths: Record<string, object>;
    };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        '/v1/check-lock',
        '/v1/ai/lease',
        '/v1/ai/run',
        '/v1/tools/{name}',
        '/v1/policies/{agent_id}',
      ]),
    );
  });

  test('/docs shows it without any outside asset', async () => {
    const html = await (await raw('/docs/', {})).text();
    expect(html).toContain('swagger-ui');
    expect(html.match(/(?:src|href)="https?:[^"]*"/g)).toBeNull();
  });

  test('/healthz and /readyz', async () => {
    expect((await raw('/healthz', {})).status).toBe(200);
    expect(await (await raw('/readyz', {})).json()).toMatchObject({ status: 'ready' });
  });
});
