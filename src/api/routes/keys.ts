import { z } from 'zod';
import { text } from '../../contracts/common.ts';
import { Refusal } from '../../contracts/errors.ts';
import { ApiKey, CreatedKey, CreatedTenant, KeyRequest, RevokedKey, TenantRequest } from '../../contracts/key.ts';
import { DEFAULT_TENANT } from '../../contracts/tenant.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { Reply, type RouteInput, route } from '../route.ts';
import { ValidationError } from '../validation.ts';

const tag = 'keys';
const scope = 'admin';

/** What holds a key is kept by nobody on its way. */
const headers = { 'Cache-Control': 'no-store' };

const askerOf = ({
  tenant,
  actor,
  header,
}: Pick<RouteInput<undefined, undefined, undefined>, 'tenant' | 'actor' | 'header'>) => ({
  tenant,
  keyId: actor,
  idempotencyKey: idempotencyKeyOf(header),
});

const create = route({
  method: 'post',
  path: '/v1/keys',
  summary: 'Make an API key',
  tag,
  scope,
  body: KeyRequest,
  status: 201,
  answer: CreatedKey,
  refusals: ['idempotency_mismatch'],
  handle: async (input, { stores }) => {
    const issued = await stores.issuance.key(askerOf(input), input.body);
    if (issued.kind === 'issued') return new Reply(issued.key, { headers });
    if (issued.kind === 'idempotency_mismatch') throw new Refusal(issued.kind);
    const msg = 'Input should be a moment in the future';
    throw new ValidationError([
      { type: 'value_error', loc: ['body', 'expires_at'], msg, input: input.body.expires_at },
    ]);
  },
});

const list = route({
  method: 'get',
  path: '/v1/keys',
  summary: 'The API keys that are not revoked',
  tag,
  scope,
  answer: z.array(ApiKey),
  handle: ({ tenant }, { stores }) => stores.keys.list(tenant),
});

const revoke = route({
  method: 'delete',
  path: '/v1/keys/:id',
  summary: 'Revoke an API key',
  tag,
  scope,
  params: z.object({ id: text(128) }),
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
  scope,
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

export const keys = [create, list, revoke, createTenant];
