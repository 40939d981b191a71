import { randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { ApiKey, KeyChange } from '../contracts/key.ts';
import { known } from '../domain/scope.ts';
import type { Queries } from './database.ts';
import { hashOf, previewOf } from './key-material.ts';
import type { Pools } from './pools.ts';
import type { Schema } from './schema.ts';
import { appendAudit } from './trail.ts';
import { ofTenant } from './turns.ts';

/** Whoever a request speaks for. */
export interface Principal {
  readonly keyId: string;
  readonly tenant: string;
  readonly preview: string;
  readonly scopes: readonly string[];
  /** The agents it is bound to; null: any. */
  readonly agentIds: readonly string[] | null;
  readonly isActive: boolean;
}

/** What became of a wish to revoke a key. */
export type Revocation = 'revoked' | 'key_not_found' | 'last_admin_key';

export type ChangedKey =
  | { readonly kind: 'changed'; readonly key: ApiKey }
  | { readonly kind: 'key_not_found' | 'expired' };

/** What of a key's row may be shown. */
export const shownOfKey = [
  'id',
  'name',
  'preview',
  'scopes',
  'agent_ids',
  'created_at',
  'expires_at',
  'last_used_at',
] as const;
export type KeyRow = Pick<Selectable<Schema['api_keys']>, (typeof shownOfKey)[number]>;

export const keyToWire = (row: KeyRow): ApiKey => ({
  id: row.id,
  name: row.name,
  key_preview: row.preview,
  scopes: known(row.scopes),
  agent_ids: row.agent_ids,
  created_at: row.created_at.toISOString(),
  expires_at: momentOf(row.expires_at),
  last_used_at: momentOf(row.last_used_at),
});

const momentOf = (moment: Date | string | null): string | null =>
  moment === null ? null : new Date(moment).toISOString();

/** A key that opens anything: neither revoked nor run out. */
export const isLive = sql<boolean>`(revoked_at is null and (expires_at is null or expires_at > now()))`;

/** A new random API key: 192 bits behind `once_live_`. */
export const newApiKey = (): string => `once_live_${randomBytes(24).toString('base64url')}`;

export const createKeys = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /**
   * Whom a key belongs to; only its SHA-256 is compared and stored. Revoked and expired keys are not found; one that was rotated
   * is, until its overlap ends.
   */
  async find(key: string): Promise<Principal | undefined> {
    const hash = hashOf(key);
    const rotated = reads
      .selectFrom('api_key_overlaps')
      .select('id')
      .where('hash', '=', hash)
      .where('valid_until', '>', sql<Date>`now()`);
    const row = await reads
      .selectFrom('api_keys')
      .select(['id', 'tenant', 'preview', 'scopes', 'agent_ids', 'is_active'])
      .where((where) => where.or([where('hash', '=', hash), where('id', '=', rotated)]))
      .where(isLive)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const { id: keyId, tenant, preview, scopes, agent_ids: agentIds, is_active: isActive } = row;
    return { keyId, tenant, preview, scopes, agentIds, isActive };
  },

  /** Notes that a key is used, once a minute at the most, whoever else notes it. It waits for nobody who has locked the key. */
  async used(keyId: string): Promise<void> {
    await sql`
      update api_keys set last_used_at = now() where id = (
        select id from api_keys
        where id = ${keyId} and (last_used_at is null or last_used_at <= now() - interval '1 minute')
        for no key update skip locked)
    `.execute(reads);
  },

  /** Changes what is named of a key that is not revoked. A repeat finds it so, and leaves no line. */
  change: (tenant: string, id: string, { name, expires_at }: KeyChange, actor: string): Promise<ChangedKey> =>
    writes.transact(ofTenant(tenant), async (tx) => {
      await lockKeysOf(tx, tenant);
      const before = await tx
        .selectFrom('api_keys')
        .select(shownOfKey)
        .select(sql<boolean>`${expires_at ?? null}::timestamptz <= now()`.as('past'))
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      if (before === undefined) return { kind: 'key_not_found' };
      const { past, ...row } = before;
      const shown = keyToWire(row);
      const changes = {
        ...(name !== undefined && name !== shown.name && { name }),
        ...(expires_at !== undefined && expires_at !== shown.expires_at && { expires_at }),
      };
      if (Object.keys(changes).length === 0) return { kind: 'changed', key: shown };
      if (past) return { kind: 'expired' };
      await tx.updateTable('api_keys').set(changes).where('tenant', '=', tenant).where('id', '=', id).execute();
      await appendAudit([{ tenant, type: 'key_changed', actor, detail: { id, ...changes } }]).execute(tx);
      return { kind: 'changed', key: { ...shown, ...changes } };
    }),

  /** A tenant's keys, the oldest first: expired ones too, revoked ones not. */
  async list(tenant: string): Promise<ApiKey[]> {
    const rows = await reads
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
    writes.transact(ofTenant(tenant), async (tx) => {
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
    writes.transact(ofTenant(tenant), (tx) => insertKey(tx, tenant, name, key)),

  /** Makes the first key of a deployment, unless it has one; of several processes that ask at once, one makes it. */
  first: (tenant: string): Promise<string | undefined> =>
    writes.transact(ofTenant(tenant), async (tx) => {
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
    // It may have been rotated since: its id is taken then, and what it was opens nothing any more.
    .onConflict((on) => on.doNothing())
    .execute();
}
