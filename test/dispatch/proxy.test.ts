import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTargetGuard } from '../../src/dispatch/guard.ts';
import { createProxy } from '../../src/dispatch/proxy.ts';
import { createSender, type SenderOptions } from '../../src/dispatch/send.ts';
import { selfSigned } from './certificate.ts';
import { tlsWireServer, unusedPort, wireServer } from './wire.ts';

const DONE = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}';
const pair = selfSigned('tool.example');
const answered = { kind: 'response', httpStatus: 200, body: {} };

let opened: { close(): Promise<unknown> }[];
beforeEach(() => {
  opened = [];
});
afterEach(async () => {
  for (const one of opened.reverse()) await one.close();
});
function opening<T extends { close(): Promise<unknown> }>(one: T): T {
  opened.push(one);
  return one;
}

/** A proxy that connects whatever it is told to 127.0.0.1, or answers with `status`. */
async function startProxy(status = 200) {
  const tunnels: { target: string; authorization: string | undefined }[] = [];
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on('connect', (request, socket) => {
    tunnels.push({ target: request.url ?? '', authorization: request.headers['proxy-authorization'] });
    socket.on('error', () => undefined);
    if (status !== 200) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    const target = connect(Number(/\d+$/.exec(request.url ?? '')?.[0]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(target).pipe(socket);
    });
    target.on('error', () => socket.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return opening({ tunnels, close, host: `127.0.0.1:${(server.address() as AddressInfo).port}` });
}

interface Through extends Partial<SenderOptions> {
  readonly addresses?: string[];
  readonly except?: string[];
  readonly allowed?: string[];
}

const senderThrough = (
  host: string,
  { addresses = ['127.0.0.1'], except = [], allowed = ['127.0.0.1'] }: Through = {},
) =>
  opening(
    createSender({
      guard: createTargetGuard(allowed),
      lookup: async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      ca: pair.cert,
      proxy: { url: `http://${host}`, except },
    }),
  );
const post = (url: string, fields: object = {}) => ({
  url,
  timeoutMs: 20_000,
  body: '{"n":1}',
  headers: {},
  ...fields,
});
const target = async () =>
  opening(await tlsWireServer(pair, (socket, bytes) => void (bytes.endsWith('}') && socket.write(DONE))));

describe('a call through a proxy', () => {
  test('reaches its target, by an address that the guard allows, and the certificate is that of the name', async () => {
    const [proxy, server] = [await startProxy(), await target()];
    const sender = senderThrough(proxy.host, { addresses: ['10.0.0.1', '127.0.0.1'] });
    for (const freshConnection of [true, false])
      expect(await sender.send(post(`https://tool.example:${server.port}/x`, { freshConnection }))).toEqual(answered);
    expect(proxy.tunnels.map(({ target: to }) => to)).toEqual(Array(2).fill(`127.0.0.1:${server.port}`));
    expect(server.received[0]).toMatch(/^POST \/x HTTP\/1\.1\r\nhost: tool\.example/i);
    const other = await senderThrough(proxy.host).send(post(`https://another.example:${server.port}/`));
    expect(other).toEqual({ kind: 'not_sent', error: 'tls' });
  });

  test('keeps its connection for the next where it may', async () => {
    const [proxy, server] = [await startProxy(), await target()];
    const sender = senderThrough(proxy.host);
    for (let n = 0; n < 9; n += 1)
      expect(await sender.send(post(`https://tool.example:${server.port}/`))).toEqual(answered);
    // A second one where the first has not yet been given back.
    expect(proxy.tunnels.length).toBeLessThanOrEqual(2);
  });

  test('says who calls, to the proxy and to nobody else', async () => {
    const [proxy, server] = [await startProxy(), await target()];
    await senderThrough(`us%40er:pass%3A@${proxy.host}`).send(post(`https://tool.example:${server.port}/`));
    expect(proxy.tunnels[0]?.authorization).toBe(`Basic ${Buffer.from('us@er:pass:').toString('base64')}`);
    expect(server.received.join('')).not.toMatch(/authorization/i);
  });

  test.each([
    ['https://10.0.0.1/', ['127.0.0.1']],
    ['https://169.254.169.254/', ['127.0.0.1']],
    ['https://tool.example/', ['10.0.0.1', '::ffff:169.254.169.254']],
    ['https://tool.example/', []],
  ])('to %s, which leads to %j, is refused by the guard before the proxy hears of it', async (url, addresses) => {
    const proxy = await startProxy();
    const sender = senderThrough(proxy.host, { addresses, allowed: [] });
    expect(await sender.send(post(url))).toMatchObject({ kind: 'target_refused' });
    expect(proxy.tunnels).toEqual([]);
  });

  test('to a name that the operator has listed is left to the proxy to resolve', async () => {
    const [proxy, server] = [await startProxy(), await target()];
    const sender = senderThrough(proxy.host, { addresses: [], allowed: ['tool.example'] });
    expect(await sender.send(post(`https://tool.example:${server.port}/`))).toEqual(answered);
    expect(proxy.tunnels[0]?.target).toBe(`tool.example:${server.port}`);
  });

  test.each([403, 407, 502])('that it answers with %i was not sent', async (status) => {
    const [proxy, server] = [await startProxy(status), await target()];
    const answer = await senderThrough(proxy.host).send(post(`https://tool.example:${server.port}/`));
    expect(answer).toEqual({ kind: 'not_sent', error: 'proxy_failed' });
    expect(server.sockets).toHaveLength(0);
  });

  test('that cannot be reached was not sent', async () => {
    const answer = await senderThrough(`127.0.0.1:${await unusedPort()}`).send(post('https://tool.example/'));
    expect(answer).toEqual({ kind: 'not_sent', error: 'proxy_failed' });
  });

  test('that breaks off after it was sent is lost, as without one', async () => {
    const proxy = await startProxy();
    const server = opening(await tlsWireServer(pair, (socket) => socket.destroy()));
    const answer = await senderThrough(proxy.host).send(post(`https://tool.example:${server.port}/`));
    expect(answer).toEqual({ kind: 'lost', error: 'reset' });
  });
});

describe('past the proxy', () => {
  test('goes what is excepted, and plain http', async () => {
    const [proxy, server] = [await startProxy(), await target()];
    const plain = opening(await wireServer((socket) => socket.end(DONE)));
    const sender = senderThrough(proxy.host, { except: ['.example'] });
    expect(await sender.send(post(`https://tool.example:${server.port}/`))).toEqual(answered);
    expect(await sender.send(post(`http://127.0.0.1:${plain.port}/`))).toEqual(answered);
    expect(proxy.tunnels).toEqual([]);
  });

  test.each([
    ['*', 'anything.test', true],
    ['example.com', 'example.com', true],
    ['example.com', 'API.Example.com', true],
    ['.example.com', 'api.example.com', true],
    ['*.example.com', 'api.example.com', true],
    ['example.com', 'notexample.com', false],
    ['example.com:443', 'example.com', true],
    ['example.com:8443', 'example.com', false],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.0.0.0/8', 'example.com', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1:443', '192.0.2.1', true],
    ['[2001:db8::1]:443', '2001:db8::1', true],
    ['2001:db8::/32', '2001:db8::5', true],
    ['2001:db8:0::1', '2001:db8::1', true],
    ['.', 'example.com', false],
  ])('%s: %s is %s', (entry, host, expected) => {
    const proxy = opening(createProxy({ url: 'http://proxy.test', except: ['other.test', entry] }));
    expect(proxy.isBypassed(host, '443')).toBe(expected);
  });
});
