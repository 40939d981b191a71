import { randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { ApiKey } from '../contracts/key.ts';
import type { Database, Queries } from './database.ts';
import { hashOf, previewOf } from './key-material.ts';
import type { Schema } from './schema.ts';
import { appendAudit } from './trail.ts';

/** Whoever a request speaks for. */
export interface Principal {
  readonly keyId: string;
  readonly tenant: string;
  readonly preview: string;
  readonly scopes: readonly string[];
  readonly isActive: boolean;
}

/** What became of a wish to revoke a key. */
export type Revocation = 'revoked' | 'key_not_found' | 'last_admin_key';

/** What of a key's row may be shown. */
export const shownOfKey = ['id', 'name', 'preview', 'scopes', 'created_at', 'expires_at'] as const;
export type KeyRow = Pick<Selectable<Schema['api_keys']>, (typeof shownOfKey)[number]>;

export const keyToWire = (row: KeyRow): ApiKey => ({
  id: row.id,
  name: row.name,
  key_preview: row.preview,
  scopes: row.scopes,
  created_at: row.created_at.toISOString(),
  expires_at: row.expires_at === null ? null : new Date(row.expires_at).toISOString(),
});

/** A key that opens anything: neither revoked nor run out. */
export const isLive = sql<boolean>`(revoked_at is null and (expires_at is null or expires_at > now()))`;

/** A new random API key: 192 bits behind `once_live_`. */
export const newApiKey = (): string => `once_live_${randomBytes(24).toString('base64url')}`;

export const createKeys = (db: Database) => ({
  /** Whom a key belongs to; only its SHA-256 is compared and stored. Revoked and expired keys are not found. */
  async find(key: string): Promise<Principal | undefined> {
    const row = await db
      .selectFrom('api_keys')
      .select(['id', 'tenant', 'preview', 'scopes', 'is_active'])
      .where('hash', '=', hashOf(key))
      .where(isLive)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    return { keyId: row.id, tenant: row.tenant, preview: row.preview, scopes: row.scopes, isActive: row.is_active };
  },

  /** A tenant's keys, the oldest first: expired ones too, revoked ones not. */
  async list(tenant: string): Promise<ApiKey[]> {
    const rows = await db
      .selectFrom('api_keys')
      .select(shownOfKey)
      .where('tenant', '=', tenant)
      .where('revoked_at', 'is', null)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map(keyToWire);
  },

  /** Ends a key for good; its row stays. Two that revoke at once take turns, so that one admin key is always left. */
  revoke: (tenant: string, id: string, actor: string): Promise<Revocation> =>
    db.transaction().execute(async (tx) => {
      await lockKeysOf(tx, tenant);
      const rows = await tx
        .selectFrom('api_keys')
        .select(['id', 'name', sql<boolean>`${isLive} and is_active and 'admin' = any (scopes)`.as('reigns')])
        .where('tenant', '=', tenant)
        .where('revoked_at', 'is', null)
        .execute();
      const named = rows.find((row) => row.id === id);
      if (named === undefined) return 'key_not_found';
      if (named.reigns && !rows.some((row) => row.reigns && row.id !== id)) return 'last_admin_key';
      await tx
        .updateTable('api_keys')
        .set({ revoked_at: sql<Date>`clock_timestamp()` })
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .execute();
      await appendAudit([{ tenant, type: 'key_revoked', actor, detail: { id, name: named.name } }]).execute(tx);
      return 'revoked';
    }),

  /** Makes the key exist, with admin scope, for a tenant that is made with it. A revoked one stays revoked. */
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

/** Whoever changes a tenant's keys takes turns; its other rows may be written meanwhile. */
export const lockKeysOf = (tx: Queries, tenant: string) =>
  tx.selectFrom('tenants').select('tenant').where('tenant', '=', tenant).forNoKeyUpdate().execute();

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
