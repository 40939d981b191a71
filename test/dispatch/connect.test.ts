import { EventEmitter, once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTargetGuard } from '../../src/dispatch/guard.ts';
import { createSender, type SenderOptions, type ToolRequest } from '../../src/dispatch/send.ts';
import { selfSigned } from './certificate.ts';
import { tlsWireServer, unusedPort, wireServer } from './wire.ts';

const guard = createTargetGuard(['127.0.0.1', 'tool.allowed']);
const DONE = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}';

let opened: { close(): Promise<void> }[];
beforeEach(() => {
  opened = [];
});
afterEach(async () => {
  vi.useRealTimers();
  for (const one of opened.reverse()) await one.close();
});

function opening<T extends { close(): Promise<void> }>(one: T): T {
  opened.push(one);
  return one;
}

/** A sender that knows only these addresses of every name. */
function senderWith(addresses: string[] | undefined, options: Partial<SenderOptions> = {}) {
  const lookup = async () => (addresses ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  return opening(createSender({ guard, ...(addresses && { lookup }), ...options }));
}

const post = (url: string, changes: Partial<ToolRequest> = {}): ToolRequest => ({
  url,
  timeoutMs: 20_000,
  body: '{}',
  headers: {},
  ...changes,
});

describe('nothing was sent', () => {
  test('to a name that does not exist', async () => {
    const answer = await senderWith(undefined).send(post('https://no-such-tool.invalid/'));
    expect(answer).toEqual({ kind: 'not_sent', error: 'dns' });
  });

  test('to a port that refuses', async () => {
    const answer = await senderWith([]).send(post(`http://127.0.0.1:${await unusedPort()}/`));
    expect(answer).toEqual({ kind: 'not_sent', error: 'connection_refused' });
  });

  test('to a name of which every address refuses', async () => {
    const url = `http://tool.allowed:${await unusedPort()}/`;
    const answer = await senderWith(['127.0.0.1', '127.0.0.2']).send(post(url));
    expect(answer).toEqual({ kind: 'not_sent', error: 'connection_refused' });
  });

  test('when TLS meets a server without it', async () => {
    const server = opening(await wireServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const answer = await senderWith([]).send(post(`https://127.0.0.1:${server.port}/`));
    expect(answer).toEqual({ kind: 'not_sent', error: 'tls' });
  });

  test('when the handshake is reset', async () => {
    const server = opening(await wireServer((socket) => socket.resetAndDestroy()));
    const answer = await senderWith([]).send(post(`https://127.0.0.1:${server.port}/`));
    expect(answer).toEqual({ kind: 'not_sent', error: 'tls' });
  });

  test.each([
    ['signed by nobody we trust', 'tool.example', undefined],
    ['of another name', 'another.example', 'ca'],
  ])('when the certificate is %s', async (_, name, trust) => {
    const pair = selfSigned(name);
    const server = opening(await tlsWireServer(pair, (socket) => socket.end(DONE)));
    const sender = senderWith(['127.0.0.1'], trust ? { ca: pair.cert } : {});
    const answer = await sender.send(post(`https://tool.example:${server.port}/`));
    expect(answer).toEqual({ kind: 'not_sent', error: 'tls' });
    expect(server.received.join('')).toBe('');
  });

  test('when the time runs out before the connection, even if that comes later', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const network = new EventEmitter();
    const connection = once(network, 'connection');
    const server = opening(
      await wireServer(
        () => {},
        (socket) => network.emit('connection', socket),
      ),
    );

    const sender = senderWith(undefined, { lookup: async () => (await once(network, 'addresses'))[0] });
    const answer = sender.send(post(`http://tool.allowed:${server.port}/`, { timeoutMs: 5_000 }));
    vi.advanceTimersByTime(5_000);
    expect(await answer).toEqual({ kind: 'not_sent', error: 'connect_timeout' });

    network.emit('addresses', [{ address: '127.0.0.1', family: 4 }]);
    await once((await connection)[0], 'close');
    expect(server.received).toEqual(['']);
  });

  test('with a header that cannot be, or after the sender was closed', async () => {
    const server = opening(await wireServer((socket) => socket.end(DONE)));
    const [sender, url] = [senderWith([]), `http://127.0.0.1:${server.port}/`];
    const impossible = await sender.send(post(url, { headers: { 'Idempotency-Key': 'a\r\nb' } }));
    await sender.close();
    expect([impossible, await sender.send(post(url))]).toEqual([
      { kind: 'not_sent', error: 'connect_failed' },
      { kind: 'not_sent', error: 'connect_failed' },
    ]);
    expect(server.sockets).toHaveLength(0);
  });
});

describe('the guard', () => {
  test.each(['https://10.0.0.1/', 'https://[::ffff:169.254.169.254]/', 'http://tool.example/', 'not a url'])(
    'keeps %s from being called',
    async (url) => expect(await senderWith(['127.0.0.1']).send(post(url))).toMatchObject({ kind: 'target_refused' }),
  );

  test.each([[['10.0.0.1']], [['127.0.0.2', '::1']], [['::ffff:10.0.0.1']], [[]]])(
    'refuses a name that resolves to %j only',
    async (addresses) => {
      const answer = await senderWith(addresses).send(post('https://tool.example/'));
      expect(answer).toEqual({ kind: 'target_refused', error: 'address_not_allowed' });
    },
  );

  test('lets a name connect to those of its addresses that are allowed', async () => {
    const pair = selfSigned('tool.example');
    const server = opening(await tlsWireServer(pair, (socket) => socket.end(DONE)));
    const sender = senderWith(['127.0.0.3', '::1', '127.0.0.1'], { ca: pair.cert });
    const answer = await sender.send(post(`https://tool.example:${server.port}/`));
    expect(answer).toEqual({ kind: 'response', httpStatus: 200, body: {} });
  });

  test('looks at the address that got connected, too', async () => {
    const asked: string[] = [];
    const changeable = {
      checkUrl: () => ({ ok: true }) as const,
      allowsAddress: (address: string) => asked.push(address) === 1,
      isListedName: () => false,
    };
    const server = opening(await wireServer((socket) => socket.end(DONE)));
    const sender = senderWith([], { guard: changeable });
    expect(await sender.send(post(`http://127.0.0.1:${server.port}/`))).toMatchObject({ kind: 'target_refused' });
    expect(asked).toEqual(['127.0.0.1', '127.0.0.1']);
    expect(server.received.join('')).toBe('');
  });
});
