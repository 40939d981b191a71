import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createTargetGuard } from '../../src/dispatch/guard.ts';
import { createSender, type Sender } from '../../src/dispatch/send.ts';
import type { Answer } from '../../src/domain/answer.ts';
import { type WireServer, wireServer } from './wire.ts';

const DONE = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}';

let sender: Sender;
let server: WireServer | undefined;
beforeEach(() => {
  sender = createSender({ guard: createTargetGuard(['127.0.0.1']) });
});
afterEach(async () => {
  vi.useRealTimers();
  await sender.close();
  await server?.close();
});

const post = (port: number, freshConnection = false): Promise<Answer> =>
  sender.send({ url: `http://127.0.0.1:${port}/`, timeoutMs: 20_000, body: '{}', headers: {}, freshConnection });

/** Sends a call, and acts once undici has read the head of its answer. */
async function postAndOnHead(port: number, act: () => void, freshConnection = false): Promise<Answer> {
  subscribe('undici:request:headers', act);
  try {
    return await post(port, freshConnection);
  } finally {
    unsubscribe('undici:request:headers', act);
  }
}

const LOST: Answer = { kind: 'lost', error: 'reset' };
const BROKEN: Answer = { kind: 'broken_body', httpStatus: 200 };
const answered = (httpStatus: number, body = {}): Answer => ({ kind: 'response', httpStatus, body });

test.each<[string, string, Answer]>([
  ['an end before any answer', '', LOST],
  ['half a head', 'HTTP/1.1 200 OK\r\ncontent-', LOST],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n', LOST],
  ['a switch of protocols', 'HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n', LOST],
  ['an early hint', `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${DONE}`, answered(200)],
  ['nothing after an early hint', 'HTTP/1.1 103 Early Hints\r\n\r\n', LOST],
  ['a strange status', 'HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n', answered(999)],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\n{"a":1}', answered(200, { a: 1 })],
  ['large headers', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}\r\ncontent-length: 0\r\n\r\n`, answered(200)],
  ['too short a body', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}', BROKEN],
  ['an unfinished chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{}', BROKEN],
])('%s', async (_, bytes, expected) => {
  server = await wireServer((socket) => socket.end(bytes));
  expect(await post(server.port)).toEqual(expected);
  expect(await post(server.port, true)).toEqual(expected);
});

test.each([false, true])('a reset in a body without a length is not its end (fresh: %s)', async (fresh) => {
  server = await wireServer((socket) => socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"a":1'));
  const { port, sockets } = server;
  // Not before the head was read: libuv reports a reset that comes with data as a regular end.
  expect(await postAndOnHead(port, () => sockets[0]?.resetAndDestroy(), fresh)).toEqual(BROKEN);
});

test('the time limit holds while a body drips', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  server = await wireServer((socket) => socket.write('HTTP/1.1 201 OK\r\ncontent-length: 9\r\n\r\n{'));
  const answer = postAndOnHead(server.port, () => process.nextTick(() => vi.advanceTimersByTime(20_000)));
  expect(await answer).toEqual({ kind: 'broken_body', httpStatus: 201 });
});

test('a connection is used again, and one that the server has closed meanwhile is not', async () => {
  server = await wireServer((socket) => socket.write(DONE));
  const { port, sockets } = server;
  for (let n = 0; n < 10; n += 1) {
    expect(await post(port)).toEqual(answered(200));
    await setImmediate(); // undici frees a connection one turn after its answer
  }
  expect(sockets.length).toBeLessThan(10);

  const open = sockets.filter((socket) => !socket.closed);
  for (const socket of open) socket.end();
  await Promise.all(open.map((socket) => once(socket, 'close')));
  expect(await post(port)).toEqual(answered(200));
});
