import { EventEmitter, once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTargetGuard } from '../../src/dispatch/guard.ts';
import { createSender, type SenderOptions, type ToolRequest } from '../../src/dispatch/send.ts';
import type { Answer } from '../../src/domain/answer.ts';
import { selfSigned } from './certificate.ts';
import { tlsWireServer, type WireServer, wireServer } from './wire.ts';

const DONE = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}';
const ANSWERED: Answer = { kind: 'response', httpStatus: 200, body: {} };

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

const senderWith = (options: Partial<SenderOptions> = {}) =>
  opening(createSender({ guard: createTargetGuard(['127.0.0.1', 'tool.allowed']), ...options }));

const toPort = ({ port }: WireServer, changes: Partial<ToolRequest> = {}): ToolRequest => ({
  url: `http://127.0.0.1:${port}/`,
  timeoutMs: 20_000,
  body: '{}',
  headers: {},
  freshConnection: true,
  ...changes,
});

const requestsOf = ({ received }: WireServer) => received.map((bytes) => bytes.split('POST / HTTP/1.1').length - 1);

describe('a call on a fresh connection', () => {
  test.each<[string, (served: WireServer['sockets'][number], n: number) => void]>([
    [
      'right after each answer',
      async (socket) => {
        socket.write(DONE);
        await setImmediate();
        socket.destroy();
      },
    ],
    ['at the moment of the next write', (socket, n) => (n === 1 ? socket.write(DONE) : socket.resetAndDestroy())],
  ])('is not lost to a server that closes kept connections %s', async (_, serve) => {
    const served = new Map<unknown, number>();
    const server = await wireServer((socket) => {
      served.set(socket, (served.get(socket) ?? 0) + 1);
      serve(socket, served.get(socket) ?? 0);
    });
    opening(server);
    const sender = senderWith();
    const answers: Answer[] = [];
    for (let burst = 0; burst < 10; burst += 1) {
      answers.push(...(await Promise.all(Array.from({ length: 50 }, () => sender.send(toPort(server))))));
      await setImmediate(); // a kept connection would be free again by now
    }
    expect(answers).toEqual(Array(500).fill(ANSWERED));
    expect(requestsOf(server)).toEqual(Array(500).fill(1));
    expect(server.received[0]).toContain('connection: close');
  });

  test('and one on a kept connection do not share it, whichever comes first', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }); // nothing idles for too long
    const server = opening(await wireServer((socket) => socket.write(DONE)));
    const sender = senderWith();
    for (const freshConnection of [false, true, false, true]) {
      expect(await sender.send(toPort(server, { freshConnection }))).toEqual(ANSWERED);
      await setImmediate();
      await setImmediate();
    }
    expect(requestsOf(server)).toEqual([2, 1, 1]);
  });

  test('does not get the connection that came too late for another', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const network = new EventEmitter();
    const server = opening(await wireServer((socket) => socket.write(DONE)));
    const sender = senderWith({ lookup: async () => (await once(network, 'addresses'))[0] });
    const url = `http://tool.allowed:${server.port}/`;
    const late = sender.send(toPort(server, { url, timeoutMs: 5_000 }));
    vi.advanceTimersByTime(5_000);
    expect(await late).toEqual({ kind: 'not_sent', error: 'connect_timeout' });

    const next = sender.send(toPort(server, { url }));
    network.emit('addresses', [{ address: '127.0.0.1', family: 4 }]);
    expect(await next).toEqual(ANSWERED);
    expect(requestsOf(server).sort()).toEqual([0, 1]);
  });
});

describe('a fresh connection is made as any other:', () => {
  test('only to addresses that the guard allows', async () => {
    const sender = senderWith({ lookup: async () => [{ address: '10.0.0.1', family: 4 }] });
    const request = { url: 'https://tool.example/', timeoutMs: 20_000, body: '{}', headers: {}, freshConnection: true };
    expect(await sender.send(request)).toEqual({ kind: 'target_refused', error: 'address_not_allowed' });
  });

  test.each([
    ['signed by nobody we trust', 'tool.allowed', false, { kind: 'not_sent', error: 'tls' }],
    ['of another name', 'another.example', true, { kind: 'not_sent', error: 'tls' }],
    ['as it should be', 'tool.allowed', true, ANSWERED],
  ])('with a certificate %s', async (_, name, trusted, expected) => {
    const pair = selfSigned(name);
    const server = opening(await tlsWireServer(pair, (socket) => socket.write(DONE)));
    const lookup = async () => [{ address: '127.0.0.1', family: 4 }];
    const sender = senderWith({ lookup, ...(trusted && { ca: pair.cert }) });
    const request = toPort(server, { url: `https://tool.allowed:${server.port}/` });
    expect(await sender.send(request)).toEqual(expected);
    expect(await sender.send(request)).toEqual(expected);
  });

  test('within the time of its call', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const arrived = new EventEmitter();
    const server = opening(await wireServer(() => arrived.emit('request')));
    const request = once(arrived, 'request');
    const answer = senderWith().send(toPort(server));
    await request;
    vi.advanceTimersByTime(20_000);
    expect(await answer).toEqual({ kind: 'lost', error: 'timeout' });
  });

  test('and ends before the sender is closed; afterwards there is none', async () => {
    const server = opening(await wireServer((socket) => void setImmediate().then(() => socket.write(DONE))));
    const sender = senderWith();
    const underway = sender.send(toPort(server));
    await sender.close();
    expect(await underway).toEqual(ANSWERED);
    expect(await sender.send(toPort(server))).toEqual({ kind: 'not_sent', error: 'connect_failed' });
    expect(server.sockets).toHaveLength(1);
  });
});
