import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { fail, hang, hangUp, ok, slow } from '../../src/dev/behaviours.ts';
import { type Behaviour, type Receiver, type Reply, startReceiver } from '../../src/dev/receiver.ts';
import { createTargetGuard } from '../../src/dispatch/guard.ts';
import { createSender, type Sender, type ToolRequest } from '../../src/dispatch/send.ts';
import { signedHeaders } from '../../src/dispatch/sign.ts';

const MIB = 1024 * 1024;
const secret = 'the tool and we know it';
const guard = createTargetGuard(['127.0.0.0/8']);

let receiver: Receiver;
let sender: Sender;
beforeAll(async () => {
  receiver = await startReceiver({ secret });
  sender = createSender({ guard, now: () => Date.parse('2026-01-01T00:00:00Z') });
});
beforeEach(() => receiver.reset());
afterEach(() => void vi.useRealTimers());
afterAll(async () => {
  await sender.close();
  await receiver.close();
});

/** A signed call to an endpoint of its own that behaves as told. */
function callTo(behaviour: Behaviour, changes: Partial<ToolRequest> = {}): ToolRequest {
  const body = changes.body ?? JSON.stringify({ tool: 'charge', args: { usd: 100 } });
  return {
    url: receiver.endpoint(`/${randomUUID()}`, behaviour),
    timeoutMs: 20_000,
    headers: signedHeaders({
      body,
      webhookId: 'act_1',
      idempotencyKey: 'größe',
      fence: 7,
      secret,
      nowSeconds: Math.floor(Date.now() / 1000),
    }),
    ...changes,
    body,
  };
}

describe('an answer', () => {
  test('arrives with the call verified by both schemes', async () => {
    const answer = await sender.send(callTo(ok()));
    expect(answer).toEqual({
      kind: 'response',
      httpStatus: 200,
      body: { charge_id: 'ch_000001', args: { usd: 100 } },
    });
    expect(receiver.calls).toMatchObject([
      { method: 'POST', verified: true, fence: 7, webhookId: 'act_1', body: { tool: 'charge' } },
    ]);
    expect(receiver.calls[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'onceonly/1',
      'idempotency-key': expect.stringMatching(/^sha256:/),
    });
    expect([...receiver.effects.values()]).toEqual([1]);
  });

  test('of a status check is asked for with GET, without a body', async () => {
    const call = callTo(() => ({ body: { status: 'unknown' } }), { method: 'GET', body: '' });
    await sender.send({ ...call, url: `${call.url}?idempotency_key=a%20b` });
    expect(receiver.calls).toMatchObject([{ method: 'GET', query: { idempotency_key: 'a b' }, verified: true }]);
    expect(receiver.calls[0]?.headers).not.toHaveProperty('content-type');
  });

  test('is waited for', async () => {
    expect(await sender.send(callTo(slow(50)))).toMatchObject({ kind: 'response', httpStatus: 200 });
  });

  test('that is empty is an empty object', async () => {
    expect(await sender.send(callTo(() => ({ body: '' })))).toMatchObject({ body: {} });
  });

  test.each(['POST', 'GET'] as const)(
    'to a %s with a number that JavaScript cannot hold has its digits',
    async (method) => {
      const body = '{"status":"executed","result":{"charge_id":1915883588174806058,"usd":0.1}}';
      expect(await sender.send(callTo(() => ({ body }), { method, body: '' }))).toMatchObject({
        body: { status: 'executed', result: { charge_id: '1915883588174806058', usd: 0.1 } },
      });
    },
  );

  test.each([MIB, MIB + 1, 3 * MIB])('of %d bytes is kept up to 1 MiB, beyond counted and hashed', async (bytes) => {
    const body = 'x'.repeat(bytes);
    const sha256 = createHash('sha256').update(body).digest('hex');
    const answer = await sender.send(callTo(() => ({ body })));
    expect(answer).toMatchObject({ body: bytes > MIB ? { truncated: true, bytes, sha256 } : { value: body } });
  });

  test('with another status tells it, with what the tool said', async () => {
    const answer = await sender.send(callTo(fail(418)));
    expect(answer).toEqual({ kind: 'response', httpStatus: 418, body: { error: 'status 418' } });
  });

  test('with a huge error page is not read to its end', async () => {
    const answer = await sender.send(callTo(() => ({ status: 500, body: 'x'.repeat(8 * MIB) })));
    expect(answer).toMatchObject({ httpStatus: 500, body: { value: 'x'.repeat(64 * 1024), truncated: true } });
  });

  test.each([
    ['12', 12],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60],
    ['tomorrow', undefined],
  ])('may say when to retry: %s', async (header, retryAfterSeconds) => {
    const answer = await sender.send(callTo(() => ({ status: 503, headers: { 'retry-after': header } })));
    expect(answer).toEqual({
      kind: 'response',
      httpStatus: 503,
      body: {},
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    });
  });

  test('that redirects is not followed', async () => {
    const location = receiver.endpoint('/elsewhere', ok());
    const answer = await sender.send(callTo(() => ({ status: 307, headers: { location } })));
    expect(answer).toMatchObject({ kind: 'response', httpStatus: 307 });
    expect(receiver.calls.map((call) => call.path)).not.toContain('/elsewhere');
  });
});

describe('an answer that is encoded', () => {
  const encoded = (coding: string, body: Buffer | string, status = 200): Behaviour => {
    return () => ({ status, body, headers: { 'content-encoding': coding } });
  };

  test('though nobody asked for that is decoded', async () => {
    const answer = await sender.send(callTo(encoded('gzip', gzipSync('{"charge_id":"ch_1"}'))));
    expect(answer).toEqual({ kind: 'response', httpStatus: 200, body: { charge_id: 'ch_1' } });
    expect(receiver.calls[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('with another status is decoded, too', async () => {
    const answer = await sender.send(callTo(encoded('BR', brotliCompressSync('{"error":"no funds"}'), 402)));
    expect(answer).toEqual({ kind: 'response', httpStatus: 402, body: { error: 'no funds' } });
  });

  test.each([204, 200])('and empty with status %d is an empty object', async (status) => {
    const answer = await sender.send(callTo(encoded('gzip', '', status)));
    expect(answer).toEqual({ kind: 'response', httpStatus: status, body: {} });
  });

  test.each([
    ['is no gzip', Buffer.from('{"charge_id":"ch_1"}')],
    ['lacks its end', gzipSync('{"charge_id":"ch_1"}').subarray(0, -1)],
    ['has more behind its end', Buffer.concat([gzipSync('{}'), Buffer.from('{}')])],
  ])('and %s has a broken body, with its status', async (_, body) => {
    expect(await sender.send(callTo(encoded('gzip', body)))).toEqual({ kind: 'broken_body', httpStatus: 200 });
    expect(await sender.send(callTo(encoded('gzip', body, 503)))).toEqual({ kind: 'broken_body', httpStatus: 503 });
  });

  test('and breaks off on its way has a broken body though what came decodes', async () => {
    const half = gzipSync('{}');
    const reply = { headers: { 'content-encoding': 'gzip' }, body: Buffer.concat([half, half]), hangUp: 'mid_body' };
    expect(await sender.send(callTo(() => reply as Reply))).toEqual({ kind: 'broken_body', httpStatus: 200 });
  });

  test('and a huge error page is not read to its end', async () => {
    const page = gzipSync(randomBytes(8 * MIB));
    const answer = await sender.send(callTo(encoded('gzip', page, 500)));
    expect(answer).toMatchObject({ httpStatus: 500, body: { truncated: true, content_encoding: 'gzip' } });
  });

  test('and is a bomb is bounded', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * MIB));
    const sha256 = createHash('sha256').update(bomb).digest('hex');
    expect(await sender.send(callTo(encoded('gzip', bomb)))).toMatchObject({
      httpStatus: 200,
      body: { truncated: true, content_encoding: 'gzip', bytes: bomb.length, sha256 },
    });
  });
});

describe('a call that got no whole answer', () => {
  test('is lost when the time runs out after sending', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answer = sender.send(callTo(hang()));
    while (receiver.calls.length === 0) await setImmediate();
    vi.advanceTimersByTime(20_000);
    expect(await answer).toEqual({ kind: 'lost', error: 'timeout' });
    expect(receiver.calls).toHaveLength(1);
  });

  test('is lost when the connection is reset after sending', async () => {
    expect(await sender.send(callTo(hangUp('before_answer')))).toEqual({ kind: 'lost', error: 'reset' });
    expect(receiver.calls).toHaveLength(1);
  });

  test('has a broken body when the connection ends in it', async () => {
    expect(await sender.send(callTo(hangUp('mid_body')))).toEqual({ kind: 'broken_body', httpStatus: 200 });
  });

  test('keeps its status and when to retry though the body broke', async () => {
    const reply = { status: 503, headers: { 'retry-after': '5' }, body: 'wait', hangUp: 'mid_body' } as const;
    expect(await sender.send(callTo(() => reply))).toEqual({
      kind: 'broken_body',
      httpStatus: 503,
      retryAfterSeconds: 5,
    });
  });
});
