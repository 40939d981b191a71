import { createHash, createHmac, hkdfSync } from 'node:crypto';

/** 192 bits behind `once_live_`. */
const KEY_BYTES = 24;

/** What of a key is stored and compared. */
export const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest();

/** What of a key may be shown. */
export const previewOf = (key: string): string => `${key.slice(0, 10)}…${key.slice(-4)}`;

/** The API key that belongs to a tenant, the id of a key, and how often that was rotated. */
export type KeyDerivation = (tenant: string, keyId: string, generation?: number) => string;

/**
 * Derives API keys (HMAC-SHA256 under a key that HKDF, RFC 5869, makes for this purpose alone) rather than drawing them:
 * whoever repeats the request can be told the same key again although only its hash is stored (ADR 11).
 *
 * @param masterKey 32 bytes.
 */
export function createKeyDerivation(masterKey: Buffer): KeyDerivation {
  const purpose = Buffer.from(hkdfSync('sha256', masterKey, '', 'onceonly/api-keys/v1', 32));
  return (tenant, keyId, generation = 0) => {
    const place = generation === 0 ? `${tenant}/${keyId}` : `${tenant}/${keyId}/${generation}`;
    const derived = createHmac('sha256', purpose).update(place).digest();
    return `once_live_${derived.subarray(0, KEY_BYTES).toString('base64url')}`;
  };
}
