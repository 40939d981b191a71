import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { Refusal } from '../contracts/errors.ts';
import type { createKeys, Principal } from '../store/keys.ts';

/** A revoked key works for this much longer at the most, in every API process. */
const KEEP_MS = 2_000;
const MAX_KEPT = 10_000;

/** Longer than the reading of a key that was under way when it was revoked may take. */
const REVOKED_MS = 60_000;

export type Authenticator = ReturnType<typeof createAuthenticator>;

/** Finds out who asks. */
export function createAuthenticator(keys: ReturnType<typeof createKeys>) {
  // Known keys only, by their hash: guesses neither fill it nor are answered from it.
  const known = new LRUCache<string, Principal>({ max: MAX_KEPT, ttl: KEEP_MS });
  const revoked = new LRUCache<string, true>({ max: MAX_KEPT, ttl: REVOKED_MS });

  return {
    /** @throws {Refusal} `missing_token`, `invalid_api_key` or `api_key_disabled`. */
    async identify(authorization: string | undefined): Promise<Principal> {
      const [, key] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
      if (key === undefined) throw new Refusal('missing_token');
      const slot = createHash('sha256').update(key).digest('base64');
      const principal = known.get(slot) ?? (await keys.find(key));
      if (principal === undefined || revoked.has(principal.keyId)) throw new Refusal('invalid_api_key');
      if (!principal.isActive) throw new Refusal('api_key_disabled');
      known.set(slot, principal, { noUpdateTTL: true });
      return principal;
    },

    /** From now on this process refuses the key that has been revoked; others do when they read it again. */
    forget(keyId: string): void {
      revoked.set(keyId, true);
    },
  };
}
