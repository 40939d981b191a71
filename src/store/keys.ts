import { createHash, randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Database, Queries } from './database.ts';

/** Whoever a request speaks for. */
export interface Principal {
  readonly keyId: string;
  readonly tenant: string;
  readonly preview: string;
  readonly scopes: readonly string[];
  readonly isActive: boolean;
}

const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest();
const previewOf = (key: string): string => `${key.slice(0, 10)}…${key.slice(-4)}`;

/** A new random API key: 192 bits behind `once_live_`. */
export const newApiKey = (): string => `once_live_${randomBytes(24).toString('base64url')}`;

export const createKeys = (db: Database) => ({
  /** Whom a key belongs to; only its SHA-256 is compared and stored. Expired keys are not found. */
  async find(key: string): Promise<Principal | undefined> {
    const row = await db
      .selectFrom('api_keys')
      .select(['id', 'tenant', 'preview', 'scopes', 'is_active'])
      .where('hash', '=', hashOf(key))
      .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', sql<Date>`now()`)]))
      .executeTakeFirst();
    if (row === undefined) return undefined;
    return { keyId: row.id, tenant: row.tenant, preview: row.preview, scopes: row.scopes, isActive: row.is_active };
  },

  /** Makes the key exist, with admin scope, for a tenant that is made with it. */
  ensure: (tenant: string, name: string, key: string): Promise<void> =>
    db.transaction().execute((tx) => insertKey(tx, tenant, name, key)),

  /** Makes the first key of a deployment, unless it has one; of several processes that ask at once, one makes it. */
  first: (tenant: string): Promise<string | undefined> =>
    db.transaction().execute(async (tx) => {
      await sql`select pg_advisory_xact_lock(hashtext('onceonly first key'))`.execute(tx);
      const existing = await tx.selectFrom('api_keys').select('id').limit(1).executeTakeFirst();
      if (existing !== undefined) return undefined;
      const key = newApiKey();
      await insertKey(tx, tenant, 'first', key);
      return key;
    }),
});

async function insertKey(tx: Queries, tenant: string, name: string, key: string): Promise<void> {
  const hash = hashOf(key);
  const id = `key_${hash.toString('hex').slice(0, 16)}`;
  await tx
    .insertInto('tenants')
    .values({ tenant })
    .onConflict((on) => on.doNothing())
    .execute();
  await tx
    .insertInto('api_keys')
    .values({ id, tenant, name, hash, preview: previewOf(key), scopes: ['admin'] })
    .onConflict((on) => on.column('hash').doNothing())
    .execute();
}
