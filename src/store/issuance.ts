import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { type CreatedKey, type CreatedTenant, DEFAULT_SCOPES, type KeyRequest } from '../contracts/key.ts';
import { fingerprint } from '../domain/fingerprint.ts';
import type { Queries } from './database.ts';
import { hashOf, type KeyDerivation, previewOf } from './key-material.ts';
import { isLive, type KeyRow, keyToWire, lockKeysOf, shownOfKey } from './keys.ts';
import type { Pools } from './pools.ts';
import { appendAudit } from './trail.ts';
import { ofTenant } from './turns.ts';

/** Who asks for a key, and under which `Idempotency-Key`, if any. */
export interface Asker {
  readonly tenant: string;
  readonly keyId: string;
  readonly idempotencyKey: string | undefined;
}

export type IssuedKey =
  | { readonly kind: 'issued'; readonly key: CreatedKey }
  | { readonly kind: 'idempotency_mismatch' | 'expired' };
export type MadeTenant =
  | { readonly kind: 'made'; readonly made: CreatedTenant }
  | { readonly kind: 'idempotency_mismatch' | 'tenant_exists' };

/** A request as a repeat of it is recognised: by its own key, or else by what it asks for. */
export interface Request {
  readonly requestedBy: string;
  readonly requestKey: string | null;
  readonly fingerprint: string;
}

type Earlier = KeyRow & { tenant: string; fingerprint: string | null; hash: Buffer; generation: number };

/** What is recognised how long: under an `Idempotency-Key`, or an equal request without one while its key is live. */
const sameKey = sql<boolean>`created_at > now() - interval '24 hours'`;
const sameWish = sql<boolean>`(created_at > now() - interval '60 seconds' and ${isLive})`;

export function createIssuance({ writes }: Pick<Pools, 'writes'>, derive: KeyDerivation) {
  /** The key that this request has led to before; another body under its `Idempotency-Key` is found too. */
  async function earlier(tx: Queries, request: Request): Promise<Earlier | undefined> {
    const { requestedBy, requestKey } = request;
    const asked = tx
      .selectFrom('api_keys')
      .select([...shownOfKey, 'tenant', 'fingerprint', 'hash', 'generation'])
      .where('requested_by', '=', requestedBy);
    const found = await (requestKey === null
      ? asked.where('request_key', 'is', null).where('fingerprint', '=', request.fingerprint).where(sameWish)
      : asked.where('request_key', '=', requestKey).where(sameKey)
    )
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirst();
    // Under another master key it cannot be told again.
    return found && hashOf(derive(found.tenant, found.id, found.generation)).equals(found.hash) ? found : undefined;
  }

  async function insert(tx: Queries, tenant: string, wish: KeyRequest, request: Request): Promise<CreatedKey> {
    const id = `key_${randomBytes(8).toString('hex')}`;
    const key = derive(tenant, id);
    const row = await tx
      .insertInto('api_keys')
      .values({
        id,
        tenant,
        name: wish.name,
        hash: hashOf(key),
        preview: previewOf(key),
        scopes: wish.scopes ?? [...DEFAULT_SCOPES],
        agent_ids: wish.agent_ids ?? null,
        expires_at: wish.expires_at ?? null,
        requested_by: request.requestedBy,
        request_key: request.requestKey,
        fingerprint: request.fingerprint,
      })
      .returning(shownOfKey)
      .executeTakeFirstOrThrow();
    return { ...keyToWire(row), key };
  }

  return {
    /** Makes a key of the asker's tenant, once however often the request is repeated. Equal requests at once take turns. */
    key: (asker: Asker, wish: KeyRequest): Promise<IssuedKey> =>
      writes.transact(ofTenant(asker.tenant), async (tx) => {
        const { tenant, keyId: actor } = asker;
        await lockKeysOf(tx, tenant);
        const request = requestOf(asker, 'keys', { ...wish, scopes: wish.scopes ?? DEFAULT_SCOPES });
        const before = await earlier(tx, request);
        if (before !== undefined && before.fingerprint !== request.fingerprint) return { kind: 'idempotency_mismatch' };
        if (before !== undefined)
          return { kind: 'issued', key: { ...keyToWire(before), key: derive(tenant, before.id, before.generation) } };
        if (wish.expires_at !== undefined && (await isPast(tx, wish.expires_at))) return { kind: 'expired' };
        const created = await insert(tx, tenant, wish, request);
        const { id, name, scopes, agent_ids, expires_at } = created;
        const detail = { id, name, scopes, agent_ids, expires_at };
        await appendAudit([{ tenant, type: 'key_created', actor, detail }]).execute(tx);
        return { kind: 'issued', key: created };
      }),

    /** Makes a tenant with an admin key, once; only a repeat under the same `Idempotency-Key` is told the key again. */
    tenant: (asker: Asker, tenant: string): Promise<MadeTenant> =>
      writes.transact(ofTenant(asker.tenant), async (tx) => {
        await lockKeysOf(tx, asker.tenant);
        const request = requestOf(asker, 'tenants', { tenant });
        const before = request.requestKey === null ? undefined : await earlier(tx, request);
        if (before !== undefined && before.fingerprint !== request.fingerprint) return { kind: 'idempotency_mismatch' };
        if (before !== undefined)
          return { kind: 'made', made: { tenant, api_key: derive(tenant, before.id, before.generation) } };
        const made = await tx
          .insertInto('tenants')
          .values({ tenant })
          .onConflict((on) => on.doNothing())
          .returning('tenant')
          .executeTakeFirst();
        if (made === undefined) return { kind: 'tenant_exists' };
        const { key, id } = await insert(tx, tenant, { name: 'first', scopes: ['admin'] }, request);
        // The new tenant's own trail does not name the operator's keys.
        await appendAudit([
          { tenant: asker.tenant, type: 'tenant_created', actor: asker.keyId, detail: { tenant } },
          { tenant, type: 'tenant_created', actor: 'operator', detail: { tenant, key_id: id } },
        ]).execute(tx);
        return { kind: 'made', made: { tenant, api_key: key } };
      }),
  };
}

export const requestOf = ({ keyId, idempotencyKey }: Asker, route: string, body: object): Request => ({
  requestedBy: keyId,
  requestKey: idempotencyKey === undefined ? null : `${route}/${idempotencyKey}`,
  fingerprint: fingerprint({ route, ...definedOf(body) }),
});

const definedOf = (body: object) => Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));

async function isPast(tx: Queries, moment: string): Promise<boolean> {
  const { rows } = await sql<{ past: boolean }>`select ${moment}::timestamptz <= now() as past`.execute(tx);
  return rows[0]?.past ?? true;
}
