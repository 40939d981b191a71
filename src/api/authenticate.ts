import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { Refusal } from '../contracts/errors.ts';
import type { createKeys, Principal } from '../store/keys.ts';

/** A revoked key works for this much longer at the most, in every API process. */
const KEEP_MS = 2_000;
const MAX_KEPT = 10_000;

/**
 * Finds out who asks.
 *
 * @throws {Refusal} `missing_token`, `invalid_api_key` or `api_key_disabled`.
 */
export function createAuthenticator(keys: ReturnType<typeof createKeys>) {
  // Known keys only, by their hash: guesses neither fill it nor are answered from it.
  const known = new LRUCache<string, Principal>({ max: MAX_KEPT, ttl: KEEP_MS });

  return async (authorization: string | undefined): Promise<Principal> => {
    const [, key] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    if (key === undefined) throw new Refusal('missing_token');
    const slot = createHash('sha256').update(key).digest('base64');
    const principal = known.get(slot) ?? (await keys.find(key));
    if (principal === undefined) throw new Refusal('invalid_api_key');
    if (!principal.isActive) throw new Refusal('api_key_disabled');
    known.set(slot, principal, { noUpdateTTL: true });
    return principal;
  };
}
