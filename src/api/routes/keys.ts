import { z } from 'zod';
import { text } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import {
  ApiKey,
  CreatedKey,
  CreatedTenant,
  KeyChange,
  KeyRequest,
  KeyRotation,
  RevokedKey,
  RotatedKey,
  TenantRequest,
} from '../../contracts/key.ts';
import { DEFAULT_TENANT } from '../../contracts/tenant.ts';
import { idempotencyKeyOf } from '../key-headers.ts';
import { Reply, type RouteInput, route } from '../route.ts';
import { administering, watching } from '../scope.ts';
import { ValidationError } from '../validation.ts';

const tag = 'keys';

/** What holds a key is kept by nobody on its way. */
const headers = { 'Cache-Control': 'no-store' };

const askerOf = ({
  tenant,
  actor,
  sent,
}: Pick<RouteInput<undefined, undefined, undefined>, 'tenant' | 'actor' | 'sent'>) => ({
  tenant,
  keyId: actor,
  idempotencyKey: idempotencyKeyOf(sent),
});

const create = route({
  method: 'post',
  path: '/v1/keys',
  summary: 'Make an API key',
  tag,
  needs: administering,
  bound: 'refused',
  body: KeyRequest,
  status: 201,
  answer: CreatedKey,
  refusals: ['idempotency_mismatch'],
  handle: async (input, { stores }) => {
    const issued = await stores.issuance.key(askerOf(input), input.body);
    if (issued.kind === 'issued') return new Reply(issued.key, { headers });
    if (issued.kind === 'idempotency_mismatch') throw new Refusal(issued.kind);
    throw isPast(input.body.expires_at);
  },
});

const isPast = (input: string | undefined) =>
  new ValidationError([
    { type: 'value_error', loc: ['body', 'expires_at'], msg: 'Input should be a moment in the future', input },
  ]);

const ById = z.object({ id: text(128) });

const change = route({
  method: 'patch',
  path: '/v1/keys/:id',
  summary: 'Change the name or the end of an API key',
  tag,
  needs: administering,
  bound: 'refused',
  params: ById,
  body: KeyChange,
  answer: ApiKey,
  refusals: ['key_not_found'],
  handle: async ({ tenant, actor, params: { id }, body }, { stores }) => {
    const changed = await stores.keys.change(tenant, id, body, actor);
    if (changed.kind === 'changed') return changed.key;
    if (changed.kind === 'expired') throw isPast(body.expires_at);
    throw new Refusal(changed.kind);
  },
});

const rotate = route({
  method: 'post',
  path: '/v1/keys/:id/rotate',
  summary: 'Give an API key its next secret; what it was opens until the overlap ends',
  tag,
  needs: administering,
  bound: 'refused',
  params: ById,
  body: KeyRotation.optional(),
  status: 201,
  answer: RotatedKey,
  refusals: ['key_not_found', 'idempotency_mismatch'],
  handle: async (input, { stores, authenticator }) => {
    const { params, body = {} } = input;
    const rotated = await stores.keyRotations.rotate(askerOf(input), params.id, body.overlap_seconds ?? 0);
    if (rotated.kind !== 'rotated') throw new Refusal(rotated.kind);
    authenticator.reread(params.id);
    return new Reply(rotated.key, { headers });
  },
});

const list = route({
  method: 'get',
  path: '/v1/keys',
  summary: 'The API keys that are not revoked',
  tag,
  needs: watching,
  bound: 'refused',
  answer: z.array(ApiKey),
  handle: ({ tenant }, { stores }) => stores.keys.list(tenant),
});

const revoke = route({
  method: 'delete',
  path: '/v1/keys/:id',
  summary: 'Revoke an API key',
  tag,
  needs: administering,
  bound: 'refused',
  params: ById,
  answer: RevokedKey,
  refusals: ['key_not_found', 'last_admin_key'],
  handle: async ({ tenant, actor, params: { id } }, { stores, authenticator }) => {
    const outcome = await stores.keys.revoke(tenant, id, actor);
    if (outcome !== 'revoked') throw new Refusal(outcome);
    authenticator.forget(id);
    return { ok: true as const, id };
  },
});

const createTenant = route({
  method: 'post',
  path: '/v1/tenants',
  summary: 'Make a tenant with its first API key; for the operator',
  tag,
  needs: administering,
  bound: 'refused',
  body: TenantRequest,
  status: 201,
  answer: CreatedTenant,
  refusals: ['forbidden', 'tenant_exists', 'idempotency_mismatch'],
  handle: async (input, { stores }) => {
    if (input.tenant !== DEFAULT_TENANT) throw new Refusal('forbidden');
    const outcome = await stores.issuance.tenant(askerOf(input), input.body.tenant);
    if (outcome.kind !== 'made') throw new Refusal(outcome.kind);
    return new Reply(outcome.made, { headers });
  },
});

export const keys = [create, list, change, rotate, revoke, createTenant];
