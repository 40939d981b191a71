import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { type Receiver, startReceiver } from '../../src/dev/receiver.ts';
import { signedHeaders } from '../../src/dispatch/sign.ts';

const call = {
  body: '{"args":{"usd":100}}',
  webhookId: 'act_1',
  idempotencyKey: 'invoice-789',
  fence: 1,
  secret: 'the tool and we know it',
  nowSeconds: Math.floor(Date.now() / 1000),
};

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver({ secret: call.secret });
});
beforeEach(() => receiver.reset());
afterAll(() => receiver.close());

async function post(url: string, headers: Record<string, string>, body = call.body) {
  const response = await fetch(url, { method: 'POST', headers, body });
  return { status: response.status, body: await response.json() };
}

test('does as the endpoint is told, and counts what each key effected', async () => {
  const url = receiver.endpoint('/charge', fail(503, 2));
  const headers = signedHeaders(call);
  expect(await post(url, headers)).toMatchObject({ status: 503 });
  expect(await post(url, headers)).toMatchObject({ status: 503 });
  expect(receiver.effects.size).toBe(0);
  expect(await post(url, headers)).toEqual({ status: 200, body: { charge_id: 'ch_000001', args: { usd: 100 } } });
  expect(await post(url, headers)).toMatchObject({ body: { charge_id: 'ch_000002' } });
  expect(receiver.effects).toEqual(new Map([['invoice-789', 2]]));
  expect(receiver.calls).toHaveLength(4);
});

test('accepts the next secret while the caller rotates', async () => {
  const headers = signedHeaders({ ...call, secret: 'the previous one', nextSecret: call.secret });
  expect(await post(receiver.endpoint('/charge', ok()), headers)).toMatchObject({ status: 200 });
});

const signed = signedHeaders(call);
test.each([
  ['without signatures', {}],
  ['of an hour ago', signedHeaders({ ...call, nowSeconds: call.nowSeconds - 3_600 })],
  ['of tomorrow', signedHeaders({ ...call, nowSeconds: call.nowSeconds + 86_400 })],
  ['under another secret', signedHeaders({ ...call, secret: 'not this one' })],
  ['for another body', signedHeaders({ ...call, body: '{}' })],
  ['without the compatible signature', { ...signed, 'X-OnceOnly-Signature': 'é'.repeat(64) }],
  ['with another compatible timestamp', { ...signed, 'X-OnceOnly-Timestamp': '' }],
  ['without the webhook signature', { ...signed, 'webhook-signature': 'v1,AAAA' }],
  ['with another webhook id', { ...signed, 'webhook-id': 'act_2' }],
])('refuses and remembers a call %s', async (_, headers) => {
  expect(await post(receiver.endpoint('/charge', ok()), headers)).toMatchObject({ status: 401 });
  expect(receiver.calls).toMatchObject([{ path: '/charge', verified: false }]);
  expect(receiver.effects.size).toBe(0);
});

test('knows no other paths', async () => {
  expect(await post(`${receiver.url}/nowhere`, signed)).toMatchObject({ status: 404 });
});

test('keeps only the latest calls when told', async () => {
  const small = await startReceiver({ secret: call.secret, keepCalls: 2 });
  const url = small.endpoint('/charge', ok());
  for (let n = 0; n < 9; n += 1) await post(url, signed);
  expect(small.calls.length).toBeGreaterThanOrEqual(2);
  expect(small.calls.length).toBeLessThan(4);
  await small.close();
});
