import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Streamed } from '../../src/api/route.ts';
import { stream } from '../../src/api/stream.ts';

const CHUNK = 'x'.repeat(64 * 1024);
const closers: Array<() => void> = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Serves one streamed answer and asks for it; `made` counts its chunks, `over` is how its making ended. */
async function serve(chunks: (count: () => number) => AsyncIterable<string>) {
  let made = 0;
  const count = () => {
    made += 1;
    return made;
  };
  let end: (how: unknown) => void = () => undefined;
  const over = new Promise((resolve) => {
    end = resolve;
  });
  const server = createServer((_request, response) => {
    stream(new Streamed('text/plain', chunks(count)), response, 60_000).then(() => end('sent'), end);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const answer = once(request, 'response') as Promise<[IncomingMessage]>;
  // An answer that never comes is no fault of those tests that do not wait for it.
  answer.catch(() => undefined);
  closers.push(() => {
    request.destroy();
    server.close();
    server.closeAllConnections();
  });
  return { made: () => made, over, answer, request };
}

async function bytesOf(response: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const part of response) bytes += (part as Buffer).length;
  return bytes;
}

describe('a streamed answer', () => {
  test('arrives whole', async () => {
    const { answer, over } = await serve(async function* (count) {
      while (count() <= 100) yield CHUNK;
    });
    const [response] = await answer;
    const bytes = await bytesOf(response);
    expect([response.headers['content-type'], bytes, await over]).toEqual(['text/plain', 100 * CHUNK.length, 'sent']);
  });

  test('is made no faster than it is read', async () => {
    let rest: () => void = () => undefined;
    const stalled = new Promise<void>((resolve) => {
      rest = resolve;
    });
    const { answer, made, over } = await serve(async function* (count) {
      // 256 MiB: far more than the sockets' buffers take, and all of it if nothing held it back.
      while (count() <= 4_096) {
        yield CHUNK;
        if (made() > 4_000) rest();
      }
    });
    const [response] = await answer;
    // Nobody reads. A timer per turn gives a stream without back-pressure all the turns it needs.
    for (let turn = 0; turn < 4_096; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(made()).toBeLessThan(1_000);
    response.resume();
    await Promise.all([stalled, over]);
    expect(made()).toBe(4_097);
  });

  test('is no longer made once the client hangs up', async () => {
    let stopped: () => void = () => undefined;
    const cleanedUp = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    const { answer, over, request } = await serve(async function* () {
      try {
        for (;;) yield CHUNK;
      } finally {
        stopped();
      }
    });
    await answer;
    request.on('error', () => undefined).destroy();
    await cleanedUp;
    expect(await over).toBe('sent');
  });

  test('that cannot even begin leaves the answer to others', async () => {
    const fault = new Error('the database is away');
    const { over } = await serve(() => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(fault) }) }));
    expect(await over).toBe(fault);
  });

  test('that breaks off is not taken for a whole one', async () => {
    const { answer, over } = await serve(async function* () {
      yield CHUNK;
      throw new Error('half way');
    });
    const [response] = await answer;
    await expect(bytesOf(response)).rejects.toThrow('aborted');
    expect(await over).toMatchObject({ message: 'half way' });
  });
});
