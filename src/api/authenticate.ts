import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Limiter } from '../cache/limiter.ts';
import { Refusal } from '../contracts/errors.ts';
import type { createKeys, Principal } from '../store/keys.ts';
import { RateLimited } from './limit.ts';
import { networkOf } from './network.ts';

/** A revoked key works for this much longer at the most, in every API process. */
const KEEP_MS = 2_000;
/** For so long a key that was found is no guess, whoever else guesses from its address. */
const GOOD_MS = 3_600_000;
const MAX_KEPT = 10_000;

/** How often it is noted that a key is used. */
const USED_EVERY_MS = 60_000;

/** Longer than the reading of a key that was under way when it was revoked may take. */
const REVOKED_MS = 60_000;

export interface AuthenticatorDeps {
  readonly keys: Pick<ReturnType<typeof createKeys>, 'find' | 'used'>;
  /** Counts unknown keys by the network they come from; absent where nobody wants that. */
  readonly guesses?: Limiter | undefined;
}

/** What a request says of who sends it. */
export interface Presented {
  readonly authorization: string | undefined;
  readonly address: () => string | undefined;
}

export type Authenticator = ReturnType<typeof createAuthenticator>;

/**
 * Finds out who asks. A key is looked for by its SHA-256, in a map and in a database's index: neither takes a time that
 * depends on the key itself, and whoever could measure how much of a hash is right would still have to find a key for it.
 * So no comparison in constant time is needed.
 */
export function createAuthenticator({ keys, guesses }: AuthenticatorDeps) {
  // Keys that exist only, by their hash: guesses neither fill it nor are answered from it.
  const known = new LRUCache<string, Principal>({ max: MAX_KEPT, ttl: KEEP_MS });
  const revoked = new LRUCache<string, true>({ max: MAX_KEPT, ttl: REVOKED_MS });
  const good = new LRUCache<string, true>({ max: MAX_KEPT, ttl: GOOD_MS });
  const noted = new LRUCache<string, true>({ max: MAX_KEPT, ttl: USED_EVERY_MS });

  /** The database is asked only after the guess is counted: however many come at once, no more than allowed are tried. */
  async function findGuess(key: string, address: () => string | undefined): Promise<Principal | undefined> {
    if (guesses === undefined) return await keys.find(key);
    const network = networkOf(address());
    const wait = await guesses.take(network);
    if (wait !== undefined) throw new RateLimited(wait);
    let isGuess = false;
    try {
      const principal = await keys.find(key);
      isGuess = principal === undefined;
      return principal;
    } finally {
      // Also where the database is away: it says nothing against the key.
      if (!isGuess) await guesses.giveBack(network);
    }
  }

  /** Nobody waits for it, and whoever cannot be noted is let in all the same. */
  function note(keyId: string): void {
    if (noted.has(keyId)) return;
    noted.set(keyId, true);
    void keys.used(keyId).catch(() => noted.delete(keyId));
  }

  async function look(slot: string, key: string, address: () => string | undefined): Promise<Principal | undefined> {
    const principal = await (good.has(slot) ? keys.find(key) : findGuess(key, address));
    if (principal === undefined) {
      good.delete(slot);
      return undefined;
    }
    known.set(slot, principal);
    good.set(slot, true);
    return principal;
  }

  return {
    /**
     * @throws {Refusal} `missing_token`, `invalid_api_key`, `api_key_disabled`, or `rate_limited` where too many keys were
     * guessed from this network and this one was not found good lately.
     */
    async identify({ authorization, address }: Presented): Promise<Principal> {
      const [, key] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
      if (key === undefined) throw new Refusal('missing_token');
      const slot = createHash('sha256').update(key).digest('base64');
      const principal = known.get(slot) ?? (await look(slot, key, address));
      if (principal === undefined || revoked.has(principal.keyId)) throw new Refusal('invalid_api_key');
      if (!principal.isActive) throw new Refusal('api_key_disabled');
      note(principal.keyId);
      return principal;
    },

    /** From now on this process looks the key up again, which has been rotated; others do when they read it again. */
    reread(keyId: string): void {
      for (const [slot, principal] of known) if (principal.keyId === keyId) known.delete(slot);
    },

    /** From now on this process refuses the key that has been revoked; others do when they read it again. */
    forget(keyId: string): void {
      revoked.set(keyId, true);
    },
  };
}
