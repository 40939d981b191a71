import { sql } from 'kysely';
import type { RotatedKey } from '../contracts/key.ts';
import type { Queries } from './database.ts';
import { type Asker, type Request, requestOf } from './issuance.ts';
import { hashOf, type KeyDerivation, previewOf } from './key-material.ts';
import { type KeyRow, keyToWire, lockKeysOf, shownOfKey } from './keys.ts';
import type { Pools } from './pools.ts';
import { appendAudit } from './trail.ts';
import { ofTenant } from './turns.ts';

export type Rotated =
  | { readonly kind: 'rotated'; readonly key: RotatedKey }
  | { readonly kind: 'key_not_found' | 'idempotency_mismatch' };

/** What a key was opens for this many rotations back at the most. */
const MAX_OVERLAPS = 10;

interface Found extends KeyRow {
  readonly hash: Buffer;
  readonly generation: number;
  readonly rotated_by: string | null;
  readonly rotation_key: string | null;
  readonly rotation_fingerprint: string | null;
  /** The latest rotation is so young that an equal request, with or without an `Idempotency-Key`, is a repeat of it. */
  readonly recent: boolean | null;
  readonly lately: boolean | null;
}

/** Gives keys their next secret. */
export const createKeyRotations = ({ writes }: Pick<Pools, 'writes'>, derive: KeyDerivation) => ({
  /**
   * Gives a key its next secret under the same id, once however often the request is repeated (contract, section 1): within a day
   * under one `Idempotency-Key`, within 60 s without. What it was opens for `overlapSeconds` more; with 0 everything it ever
   * was ends at once.
   */
  rotate: (asker: Asker, id: string, overlapSeconds: number): Promise<Rotated> =>
    writes.transact(ofTenant(asker.tenant), async (tx) => {
      const { tenant, keyId: actor } = asker;
      await lockKeysOf(tx, tenant);
      const before = await find(tx, tenant, id);
      if (before === undefined) return { kind: 'key_not_found' };
      const request = requestOf(asker, `keys/${id}/rotate`, { overlap_seconds: overlapSeconds });
      const repeated = repeats(before, request);
      if (repeated === 'mismatch') return { kind: 'idempotency_mismatch' };
      const told = derive(tenant, id, before.generation);
      if (repeated && hashOf(told).equals(before.hash)) return await answer(tx, before, told);

      await retire(tx, before, overlapSeconds);
      const key = derive(tenant, id, before.generation + 1);
      const row = await tx
        .updateTable('api_keys')
        .set({
          hash: hashOf(key),
          preview: previewOf(key),
          generation: before.generation + 1,
          rotated_at: sql<Date>`clock_timestamp()`,
          rotated_by: actor,
          rotation_key: request.requestKey,
          rotation_fingerprint: request.fingerprint,
        })
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .returning(shownOfKey)
        .executeTakeFirstOrThrow();
      const detail = { id, name: row.name, overlap_seconds: overlapSeconds };
      await appendAudit([{ tenant, type: 'key_rotated', actor, detail }]).execute(tx);
      return await answer(tx, row, key);
    }),
});

const find = (tx: Queries, tenant: string, id: string): Promise<Found | undefined> =>
  tx
    .selectFrom('api_keys')
    .select([...shownOfKey, 'hash', 'generation', 'rotated_by', 'rotation_key', 'rotation_fingerprint'])
    .select(sql<boolean | null>`rotated_at > now() - interval '60 seconds'`.as('recent'))
    .select(sql<boolean | null>`rotated_at > now() - interval '24 hours'`.as('lately'))
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();

/** Whether a request is the latest rotation asked for again. */
function repeats(before: Found, { requestedBy, requestKey, fingerprint }: Request): boolean | 'mismatch' {
  if (before.rotated_by !== requestedBy || before.rotation_key !== requestKey) return false;
  const isSame = before.rotation_fingerprint === fingerprint;
  if (requestKey === null) return isSame && before.recent === true;
  if (before.lately !== true) return false;
  return isSame || 'mismatch';
}

/** What the key was so far opens no longer than this; what it was before that, not longer than it did. */
async function retire(tx: Queries, { id, hash }: Found, overlapSeconds: number): Promise<void> {
  if (overlapSeconds === 0) {
    await tx.deleteFrom('api_key_overlaps').where('id', '=', id).execute();
    return;
  }
  await sql`
    insert into api_key_overlaps (hash, id, valid_until) values (${hash}, ${id}, now() + make_interval(secs => ${overlapSeconds}))
  `.execute(tx);
  await sql`
    delete from api_key_overlaps where id = ${id} and hash not in (
      select hash from api_key_overlaps where id = ${id} and valid_until > now() order by valid_until desc limit ${sql.lit(MAX_OVERLAPS)})
  `.execute(tx);
}

async function answer(tx: Queries, row: KeyRow, key: string): Promise<Rotated> {
  const latest = await tx
    .selectFrom('api_key_overlaps')
    .select('valid_until')
    .where('id', '=', row.id)
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  const previous = latest === undefined ? null : new Date(latest.valid_until).toISOString();
  return { kind: 'rotated', key: { ...keyToWire(row), key, previous_valid_until: previous } };
}
