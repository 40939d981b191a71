import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { callsOf } from '../faults/scene.ts';
import { talk } from '../stack/raw-http.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
let tool: string;
beforeAll(async () => {
  world = await buildWorld();
  tool = await world.tool('charge', ok());
});
afterAll(() => world.close());

const send = async (path: string, body: string | Buffer, headers: Record<string, string> = {}) => {
  const response = await fetch(`${world.rest.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.rest.key}`, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of a body, field by field
  return { status: response.status, body: (await response.json()) as any };
};

const latin1 = (text: string) => Buffer.from(text, 'latin1');

/** A member that is lost, or changed, by most parsers, and the place that is named. */
const faults: Array<[string, string, ReadonlyArray<string | number>]> = [
  ['a number that is infinite', '{"amount":1e400}', ['amount']],
  ['a number that is nothing', '{"amount":1e-400}', ['amount']],
  ['an integer beyond 2^53', '{"amount":9007199254740993}', ['amount']],
  ['more digits than are kept', '{"amount":0.100000000000000001}', ['amount']],
  ['cents beyond what is kept', '{"lines":[{"amount":100000000000000.01}]}', ['lines', 0, 'amount']],
  ['a member named twice', '{"to":"a","to":"b"}', ['to']],
  ['a member named twice alike', '{"to":"a","to":"a"}', ['to']],
  ['a member named twice, once by an escape', '{"to":"a","\\u0074o":"b"}', ['to']],
  ['a member __proto__', '{"a":{"__proto__":{"admin":true}}}', ['a', '__proto__']],
  ['NUL in a name', '{"a\\u0000b":1}', ['a\0b']],
  ['NUL in a text', '{"note":"a\\u0000b"}', ['note']],
  ['half a surrogate pair', '{"note":"\\ud83d"}', ['note']],
];

describe('what cannot be kept exactly is refused, and nothing is done', () => {
  test.each(faults)('%s in the arguments of a call', async (_what, args, place) => {
    const body = `{"agent_id":"a","tool":"${tool}","args":${args}}`;
    const { status, body: answer } = await send('/v1/ai/run', body);
    expect([status, answer.detail]).toEqual([
      422,
      [
        {
          type: 'json_invalid',
          loc: ['body', 'args', ...place],
          msg: expect.any(String),
          input: null,
          ctx: { position: expect.any(Number) },
        },
      ],
    ]);
    expect(callsOf(world, tool)).toHaveLength(0);
  });

  test.each(faults)('%s in the arguments of an action of a run', async (_what, args, place) => {
    const key = unique('run');
    const actions = `[{"tool":"${tool}","args":${args}}]`;
    const { status, body } = await send(
      '/v1/ai/run',
      `{"key":"${key}","metadata":{"agent_id":"a","actions":${actions}}}`,
    );
    expect([status, body.detail[0].type]).toEqual([422, 'json_invalid']);
    expect(body.detail[0].loc).toEqual(['body', 'metadata', 'actions', 0, 'args', ...place]);
    expect((await world.rest.get(`/v1/ai/status?key=${key}`)).status).toBe(404);
    expect(callsOf(world, tool)).toHaveLength(0);
  });

  test.each(faults)('%s in what is not asked for', async (_what, unknown) => {
    const key = unique('key');
    expect((await send('/v1/check-lock', `{"key":"${key}","unknown":${unknown}}`)).status).toBe(422);
    expect((await world.rest.post('/v1/check-lock', { key })).body.status).toBe('locked');
  });

  test.each<[string, string, (body: string) => Record<string, unknown>]>([
    ['metadata of a lock', '/v1/check-lock', (key) => ({ key, metadata: '?' })],
    ['metadata of a lease', '/v1/ai/lease', (key) => ({ key, metadata: '?' })],
    ['data of an event', '/v1/events', (run_id) => ({ run_id, type: 'note', data: '?' })],
  ])('NUL in a name in the %s', async (_where, path, bodyOf) => {
    const text = JSON.stringify(bodyOf(unique('key'))).replace('"?"', '{"a\\u0000b":1}');
    const { status, body } = await send(path, text);
    expect([status, body.detail[0].type]).toEqual([422, 'json_invalid']);
  });

  test('a policy that names its blocked tools twice, and the one before stays', async () => {
    const agent = unique('agent');
    await world.rest.post(`/v1/policies/${agent}`, { blocked_tools: [tool] });
    const { status, body } = await send(`/v1/policies/${agent}`, `{"blocked_tools":["${tool}"],"blocked_tools":[]}`);
    expect([status, body.detail[0].loc]).toEqual([422, ['body', 'blocked_tools']]);
    expect((await world.rest.get(`/v1/policies/${agent}`)).body).toMatchObject({
      policy: { blocked_tools: [tool] },
      policy_version: 1,
    });
  });

  test('bytes that are no UTF-8, which would be the same key', async () => {
    const key = unique('caf');
    for (const last of ['\xe9', '\xe8', '\xc3']) {
      const { status, body } = await send('/v1/check-lock', latin1(`{"key":"${key}${last}"}`));
      expect([status, body.detail[0].type, body.detail[0].loc]).toEqual([422, 'json_invalid', ['body']]);
    }
    const [acute, grave] = await Promise.all(
      ['é', 'è'].map((last) => send('/v1/check-lock', `{"key":"${key}${last}"}`)),
    );
    expect([acute?.body.status, grave?.body.status]).toEqual(['locked', 'locked']);
  });

  test('a body that is nested deeper than anything reads', async () => {
    for (const levels of [200, 100_000]) {
      const { status, body } = await send(
        '/v1/check-lock',
        `{"key":"k","x":${'['.repeat(levels)}${']'.repeat(levels)}}`,
      );
      expect([status, body.detail[0].type]).toEqual([422, 'json_invalid']);
    }
  });

  test('arguments may be as deep as they could', async () => {
    const deep = (levels: number) => JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`);
    const call = (levels: number) => world.run({ agent_id: unique('a'), tool, args: deep(levels) });
    expect([(await call(100)).body.decision, (await call(101)).status]).toEqual(['executed', 422]);
  });

  test('a declared charset that is not UTF-8', async () => {
    const statuses = await Promise.all(
      ['utf-8', 'UTF8', '"utf-8"', 'utf-16', 'iso-8859-1'].map(
        async (charset) =>
          (
            await send('/v1/check-lock', JSON.stringify({ key: unique('key') }), {
              'content-type': `application/json; charset=${charset}`,
            })
          ).status,
      ),
    );
    expect(statuses).toEqual([200, 200, 200, 415, 415]);
  });

  test('a byte order mark is none of the body', async () => {
    expect((await send('/v1/check-lock', `\ufeff{"key":"${unique('key')}"}`)).status).toBe(200);
  });
});

describe('an address is read as exactly', () => {
  test.each([
    ['bytes that are no UTF-8', 'key=caf%e9', 'key', 'string_unicode'],
    ['half an escape', 'key=caf%e', 'key', 'string_unicode'],
    ['NUL', 'key=a%00b', 'key', 'string_unicode'],
    ['a name that is there twice', 'key=a&key=b', 'key', 'value_error'],
    ['a name that is not asked for, twice', 'key=a&b=1&b=2', 'b', 'value_error'],
    ['a broken name', 'key=a&%ff=1', '%ff', 'string_unicode'],
  ])('%s in a query', async (_what, query, name, type) => {
    const { status, body } = await world.rest.get(`/v1/ai/status?${query}`);
    expect([status, body.detail[0].loc, body.detail[0].type]).toEqual([422, ['query', name], type]);
  });

  test('what is written in its ways is read', async () => {
    const key = unique('ké y+');
    await world.rest.post('/v1/ai/lease', { key });
    for (const written of [encodeURIComponent(key), encodeURIComponent(key).replace('%20', '+')]) {
      const { status, body } = await world.rest.get(`/v1/ai/status?a=&&__proto__=1&key=${written}&b`);
      expect([status, body.key]).toEqual([200, key]);
    }
  });

  test('bytes beyond ASCII are no address', async () => {
    const request = (path: string) =>
      talk(
        world.rest.url,
        Buffer.from(
          `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${world.rest.key}\r\n\r\n`,
          'latin1',
        ),
      );
    for (const path of ['/v1/ai/status?key=caf\xe9', '/v1/runs/caf\xc3\xa9']) {
      expect((await request(path)).map(({ status }) => status)).toEqual([400]);
    }
    // A path whose escapes are no UTF-8 names nothing.
    expect((await world.rest.get('/v1/runs/caf%e9')).status).toBe(404);
  });
});
