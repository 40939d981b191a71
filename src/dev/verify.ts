import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { webhookKey } from '../dispatch/sign.ts';

const TOLERANCE_SECONDS = 300;

/**
 * What is wrong with the signatures of a call, as a tool would check them, or undefined. Both schemes must hold:
 * the compatible one (the previous or, while it rotates, the next secret) and Standard Webhooks (any of its signatures).
 */
export function signatureProblem(
  secret: string,
  headers: IncomingHttpHeaders,
  body: Buffer,
  nowSeconds: number,
): string | undefined {
  const read = (name: string) => String(headers[name] ?? '');
  const isFresh = (name: string) => Math.abs(nowSeconds - Number(read(name) || Number.NaN)) <= TOLERANCE_SECONDS;

  if (read('x-onceonly-signature-alg') !== 'hmac_sha256') return 'unknown signature algorithm';
  if (!isFresh('x-onceonly-timestamp') || !isFresh('webhook-timestamp')) return 'timestamp missing or too far away';

  const hex = createHmac('sha256', secret).update(body).digest('hex');
  const compatible = [read('x-onceonly-signature'), read('x-onceonly-signature-next')];
  if (!compatible.some((given) => isSame(given, hex))) return 'wrong x-onceonly-signature';

  const base64 = createHmac('sha256', webhookKey(secret))
    .update(`${read('webhook-id')}.${read('webhook-timestamp')}.`)
    .update(body)
    .digest('base64');
  const webhook = read('webhook-signature').split(' ');
  return webhook.some((given) => isSame(given, `v1,${base64}`)) ? undefined : 'wrong webhook-signature';
}

function isSame(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
