import type { ApiKey, CreatedKey, CreatedTenant } from '../../contracts/key.ts';
import { type OperationExamples, single } from './example.ts';
import { asked_at, key_id as id, tenant } from './story.ts';

const shown = {
  id,
  name: 'ci',
  key_preview: 'once_live_…9f3a',
  scopes: ['read', 'write'],
  created_at: asked_at,
  expires_at: '2027-01-01T00:00:00.000Z',
} satisfies ApiKey;

export const keys: OperationExamples = {
  'post /v1/keys': {
    id: 'createKey',
    description:
      'The key is shown in this answer and never again. With the header `Idempotency-Key` a repeat gets the same key, so that a lost answer loses none.',
    body: {
      simple: { summary: 'To read and write, for ever', value: { name: 'ci' } },
      narrow: {
        summary: 'To read, for some time',
        value: { name: 'dashboard', scopes: ['read'], expires_at: '2027-01-01T00:00:00Z' },
      },
    },
    answers: { 201: single('Made', { ...shown, key: 'once_live_…' } satisfies CreatedKey) },
  },
  'get /v1/keys': {
    id: 'listKeys',
    description: 'Expired ones are among them; what a key was is not shown again.',
    answers: { 200: single('One key', [shown]) },
  },
  'delete /v1/keys/:id': {
    id: 'revokeKey',
    description: 'For good. Other processes of the API refuse it within two seconds.',
    parameters: { id },
    answers: { 200: single('Revoked', { ok: true, id }) },
  },
  'post /v1/tenants': {
    id: 'createTenant',
    description:
      'Tenants see nothing of each other. Only an admin key of the tenant `default` may do this. With the header `Idempotency-Key` a repeat gets the same key.',
    body: single('A tenant', { tenant }),
    answers: { 201: single('With its first admin key', { tenant, api_key: 'once_live_…' } satisfies CreatedTenant) },
  },
};
