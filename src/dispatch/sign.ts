import { createHash, createHmac } from 'node:crypto';

/** What a signed call is made of. `secret` signs alone until a rotation adds `nextSecret`; `nowSeconds` is unix time. */
export type SignedCall = {
  /** The raw body exactly as it will be sent; empty for a GET. */
  body: string;
  /** The same on every attempt of an action; receivers that follow Standard Webhooks deduplicate on it. */
  webhookId: string;
  idempotencyKey: string;
  /** Rises with every execution of the same key. */
  fence: number;
  secret: string;
  nextSecret?: string;
  nowSeconds: number;
};

/**
 * The headers of a call to a tool: the compatible scheme (hex HMAC-SHA256 over the body, the secret's UTF-8 bytes as
 * key), Standard Webhooks (https://www.standardwebhooks.com, which also signs id and time), the idempotency key and
 * the fence. While a secret rotates the compatible signature stays with `secret`, and `nextSecret` signs beside it.
 */
export function signedHeaders(call: SignedCall): Record<string, string> {
  const { body, secret, nextSecret } = call;
  const webhookId = headerToken(call.webhookId);
  const timestamp = String(call.nowSeconds);
  const signedContent = `${webhookId}.${timestamp}.${body}`;
  const webhookSignature = (key: string) => `v1,${hmac(webhookKey(key), signedContent).toString('base64')}`;

  const headers: Record<string, string> = {
    'X-OnceOnly-Signature': hmac(secret, body).toString('hex'),
    'X-OnceOnly-Timestamp': timestamp,
    'X-OnceOnly-Signature-Alg': 'hmac_sha256',
    'webhook-id': webhookId,
    'webhook-timestamp': timestamp,
    'webhook-signature': webhookSignature(secret),
    'Idempotency-Key': headerToken(call.idempotencyKey),
    'X-OnceOnly-Fence': String(call.fence),
  };
  if (nextSecret !== undefined) {
    headers['X-OnceOnly-Signature-Next'] = hmac(nextSecret, body).toString('hex');
    headers['webhook-signature'] += ` ${webhookSignature(nextSecret)}`;
  }
  return headers;
}

/**
 * The key bytes of a secret under Standard Webhooks: what follows `whsec_` is base64, any other secret is its UTF-8
 * bytes. A `whsec_` secret that is not base64 is taken as text: decoding it leniently could leave an empty key.
 */
export function webhookKey(secret: string): Buffer {
  const encoded = secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : '';
  return /^[A-Za-z0-9+/]{2,}={0,2}$/.test(encoded) ? Buffer.from(encoded, 'base64') : Buffer.from(secret, 'utf8');
}

const LONGEST_TOKEN = 512;

/**
 * A key as a header value, without ever mapping two keys to one: visible ASCII up to 512 characters travels as it is,
 * anything else as `sha256:` and the hex SHA-256 of its UTF-8 bytes. A key that itself begins with `sha256:` or
 * `sha256-utf16le:` is hashed too. Text with lone surrogates has no UTF-8, so there the UTF-16LE bytes are hashed.
 */
export function headerToken(key: string): string {
  const plain = /^[\x21-\x7e]+$/.test(key) && key.length <= LONGEST_TOKEN && !/^sha256(-utf16le)?:/.test(key);
  if (plain) return key;
  const utf8 = Buffer.from(key, 'utf8');
  if (utf8.toString('utf8') === key) return `sha256:${sha256(utf8)}`;
  return `sha256-utf16le:${sha256(Buffer.from(key, 'utf16le'))}`;
}

function hmac(key: string | Buffer, content: string): Buffer {
  return createHmac('sha256', key).update(content, 'utf8').digest();
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
