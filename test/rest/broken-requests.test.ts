import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RawAnswer, talk } from '../stack/raw-http.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api'], env: { MAX_BODY_BYTES: '4096' } });
});
afterAll(() => world.close());

const send = (...packets: string[]) => talk(world.rest.url, ...packets);
const head = (line: string, ...headers: string[]) =>
  [line, 'Host: x', `Authorization: Bearer ${world.rest.key}`, ...headers, '', ''].join('\r\n');
const check = (key: string, ...headers: string[]) => {
  const body = JSON.stringify({ key });
  const fields = ['Content-Type: application/json', `Content-Length: ${body.length}`, ...headers];
  return head('POST /v1/check-lock HTTP/1.1', ...fields) + body;
};

/** A refusal in the contract's shape, after which the connection is closed. */
function expectRefusal(answer: RawAnswer | undefined, status: number, error: string): void {
  expect(answer).toMatchObject({
    status,
    headers: { connection: 'close', 'content-type': 'application/json; charset=utf-8' },
  });
  expect(answer?.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.parse(answer?.body ?? '')).toEqual({ detail: { error, message: expect.any(String) } });
}

describe('what is not HTTP is refused as 400', () => {
  test.each([
    ['no request line', 'GARBAGE\r\n\r\n'],
    ['an unknown version', 'GET /v1/me HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['an unknown method', 'FETCH /v1/me HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a header without a colon', 'GET /v1/me HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n'],
    ['a NUL in a header', 'GET /v1/me HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n'],
    ['two lengths', 'POST /v1/check-lock HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}'],
    ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    [
      'a length beside chunks',
      'POST /v1/check-lock HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('%s', async (_what, text) => {
    const answers = await send(text);
    expect(answers).toHaveLength(1);
    expectRefusal(answers[0], 400, 'bad_request');
  });

  test('a request of HTTP/1.1 that names no host', async () => {
    const [answer] = await send('GET /v1/me HTTP/1.1\r\nConnection: close\r\n\r\n');
    expectRefusal(answer, 400, 'bad_request');
  });

  test('a body whose chunks are none', async () => {
    const chunked = ['Content-Type: application/json', 'Transfer-Encoding: chunked'];
    const answers = await send(head('POST /v1/check-lock HTTP/1.1', ...chunked), 'ZZ\r\n{}\r\n');
    expect(answers).toHaveLength(1);
    expectRefusal(answers[0], 400, 'bad_request');
  });
});

describe('what is too large', () => {
  const long = (bytes: number) => 'x'.repeat(bytes);

  test('headers are 431, at once or in small packets', async () => {
    const [atOnce] = await send(head('GET /v1/me HTTP/1.1', `X-Long: ${long(20_000)}`));
    expectRefusal(atOnce, 431, 'headers_too_large');
    const lines = Array.from({ length: 40 }, (_, n) => `X-${n}: ${long(1_000)}\r\n`);
    const [dripped] = await send('GET /v1/me HTTP/1.1\r\nHost: x\r\n', ...lines, '\r\n');
    expectRefusal(dripped, 431, 'headers_too_large');
  });

  test('an address is 414, whether the parser ends it or we do', async () => {
    const [endless] = await send(head(`GET /v1/runs?q=${long(20_000)} HTTP/1.1`));
    expectRefusal(endless, 414, 'uri_too_long');
    const [tooLong] = await send(head(`GET /v1/runs?q=${long(10_000)} HTTP/1.1`, 'Connection: close'));
    expectRefusal(tooLong, 414, 'uri_too_long');
  });

  test('headers and addresses below their limits are read', async () => {
    const me = head('GET /v1/me HTTP/1.1', `X-Long: ${long(12_000)}`, 'Connection: close');
    const runs = head(`GET /v1/tools/${long(7_000)} HTTP/1.1`, 'Connection: close');
    const [[headers], [address]] = [await send(me), await send(runs)];
    expect([headers?.status, address?.status]).toEqual([200, 422]);
  });

  test('a body is 413, by its declared length or by its chunks', async () => {
    const json = ['Content-Type: application/json', 'Connection: close'];
    const body = JSON.stringify({ key: unique('key'), padding: long(5_000) });
    const post = 'POST /v1/check-lock HTTP/1.1';
    const [declared] = await send(head(post, ...json, `Content-Length: ${body.length}`), body);
    expectRefusal(declared, 413, 'payload_too_large');
    const chunks = [...body.matchAll(/.{1,500}/g)].map(([part]) => `${part.length.toString(16)}\r\n${part}\r\n`);
    const [chunked] = await send(head(post, ...json, 'Transfer-Encoding: chunked'), ...chunks, '0\r\n\r\n');
    expectRefusal(chunked, 413, 'payload_too_large');
  });

  test('a declared length alone is refused, before a byte of the body', async () => {
    const fields = ['Content-Type: application/json', 'Content-Length: 999999999', 'Connection: close'];
    const [answer] = await send(head('POST /v1/check-lock HTTP/1.1', ...fields));
    expectRefusal(answer, 413, 'payload_too_large');
  });
});

describe('on a connection that is kept', () => {
  test('sound requests are answered, and the broken one that follows closes it', async () => {
    const key = unique('key');
    const answers = await send(check(key), check(key), head('GET /v1/me HTTP/1.1'), 'GARBAGE\r\n\r\n');
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 400]);
    // Sent ahead of their answers they run side by side: one of them has the lock.
    expect(
      answers
        .slice(0, 2)
        .map(({ body }) => JSON.parse(body).status)
        .sort(),
    ).toEqual(['duplicate', 'locked']);
  });

  test('a broken request sent behind others in one packet takes no answer from them, and comes last', async () => {
    const keys = [unique('key'), unique('key'), unique('key')];
    const answers = await send(`${keys.map((key) => check(key)).join('')}GARBAGE\r\n\r\n`);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 400]);
    expect(answers.slice(0, 3).map(({ body }) => JSON.parse(body).key)).toEqual(keys);
    expectRefusal(answers[3], 400, 'bad_request');
  });

  test('what follows a broken request is not read', async () => {
    const key = unique('key');
    const answers = await send('GARBAGE\r\n\r\n', check(key));
    expect(answers.map(({ status }) => status)).toEqual([400]);
    expect((await world.rest.post('/v1/check-lock', { key })).body.status).toBe('locked');
  });
});
