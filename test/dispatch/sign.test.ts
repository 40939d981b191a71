import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { signatureProblem } from '../../src/dev/verify.ts';
import { headerToken, type SignedCall, signedHeaders } from '../../src/dispatch/sign.ts';

const nowSeconds = Math.floor(Date.now() / 1000);
const whsec = `whsec_${Buffer.from('a key of twenty-four bytes').toString('base64')}`;
const call: SignedCall = {
  body: '{"args":{"usd":100,"note":"größer"},"tool":"charge"}',
  webhookId: 'act_1',
  idempotencyKey: 'invoice-789',
  fence: 3,
  secret: 'a plain secret',
  nowSeconds,
};

const lowerCase = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

describe('the compatible scheme', () => {
  test.each(['a plain secret', 'größer als acht', whsec])('is the hex HMAC of the body under %s as text', (secret) => {
    const headers = signedHeaders({ ...call, secret });
    const expected = createHmac('sha256', Buffer.from(secret, 'utf8')).update(call.body).digest('hex');
    expect(headers).toMatchObject({
      'X-OnceOnly-Signature': expected,
      'X-OnceOnly-Timestamp': String(nowSeconds),
      'X-OnceOnly-Signature-Alg': 'hmac_sha256',
    });
    expect(headers['X-OnceOnly-Signature']).toMatch(/^[0-9a-f]{64}$/);
  });

  test('matches a known value', () => {
    // RFC 4231, test case 2
    const headers = signedHeaders({ ...call, secret: 'Jefe', body: 'what do ya want for nothing?' });
    expect(headers['X-OnceOnly-Signature']).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
  });
});

describe('Standard Webhooks', () => {
  test('is accepted by their library with a whsec_ secret', () => {
    const headers = signedHeaders({ ...call, secret: whsec });
    expect(new Webhook(whsec).verify(call.body, headers)).toMatchObject({ tool: 'charge' });
  });

  test('is accepted by their library with any other secret as raw bytes', () => {
    const headers = signedHeaders({ ...call, secret: 'größer' });
    expect(new Webhook(Buffer.from('größer'), { format: 'raw' }).verify(call.body, headers)).toBeTruthy();
  });

  test('is accepted for an empty body', () => {
    const headers = signedHeaders({ ...call, secret: whsec, body: '' });
    expect(() => new Webhook(whsec).verify('', headers)).not.toThrow();
  });

  test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('is refused when %s was changed', (name) => {
    const headers = signedHeaders({ ...call, secret: whsec });
    const forged = { ...headers, [name]: name === 'webhook-timestamp' ? String(nowSeconds - 1) : 'v1,forged' };
    expect(() => new Webhook(whsec).verify(call.body, forged)).toThrow();
  });

  test.each(['whsec_', 'whsec_not base64!'])('never signs with an empty key (%s)', (secret) => {
    const headers = signedHeaders({ ...call, secret });
    expect(() => new Webhook(Buffer.from(secret), { format: 'raw' }).verify(call.body, headers)).not.toThrow();
  });
});

describe('while a secret rotates', () => {
  const headers = signedHeaders({ ...call, secret: whsec, nextSecret: 'the next secret' });

  test('the compatible signature stays, the new one is beside it', () => {
    expect(headers['X-OnceOnly-Signature']).toBe(
      signedHeaders({ ...call, secret: whsec })['X-OnceOnly-Signature'] as string,
    );
    expect(headers['X-OnceOnly-Signature-Next']).toBe(
      signedHeaders({ ...call, secret: 'the next secret' })['X-OnceOnly-Signature'] as string,
    );
  });

  test('a receiver with either secret accepts the call', () => {
    expect(() => new Webhook(whsec).verify(call.body, headers)).not.toThrow();
    expect(() => new Webhook('the next secret', { format: 'raw' }).verify(call.body, headers)).not.toThrow();
    for (const secret of [whsec, 'the next secret']) {
      expect(signatureProblem(secret, lowerCase(headers), Buffer.from(call.body), nowSeconds)).toBeUndefined();
    }
    expect(signatureProblem('another', lowerCase(headers), Buffer.from(call.body), nowSeconds)).toBeDefined();
  });

  test('and otherwise there is one signature', () => {
    const alone = signedHeaders(call);
    expect(alone).not.toHaveProperty('X-OnceOnly-Signature-Next');
    expect(alone['webhook-signature']).not.toContain(' ');
  });
});

describe('the idempotency key as a header', () => {
  test('travels as it is when it can', () => {
    expect(signedHeaders(call)).toMatchObject({ 'Idempotency-Key': 'invoice-789', 'X-OnceOnly-Fence': '3' });
    expect(headerToken('a:b/c~!{}"#50')).toBe('a:b/c~!{}"#50');
  });

  test('is otherwise the SHA-256 of its UTF-8', () => {
    expect(headerToken('größe')).toBe(`sha256:${createHash('sha256').update('größe', 'utf8').digest('hex')}`);
  });

  test.each(['', ' a', 'a b', 'a\r\nX-Evil: 1', '\0', 'é', 'sha256:ab', 'x'.repeat(513)])('is hashed: %j', (key) => {
    expect(headerToken(key)).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test('is a legal header value, and no two keys share one', () => {
    const key = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme-ascii' }),
      fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 })).map((units) => String.fromCharCode(...units)),
    );
    const withImages = key.chain((first) =>
      fc.tuple(fc.constant(first), fc.oneof(key, fc.constant(headerToken(first)))),
    );
    fc.assert(
      fc.property(withImages, ([a, b]) => {
        expect(headerToken(a)).toMatch(/^[\x21-\x7e]+$/);
        return a === b || headerToken(a) !== headerToken(b);
      }),
    );
  });
});
