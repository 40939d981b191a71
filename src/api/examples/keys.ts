import type { ApiKey, CreatedKey, CreatedTenant, RotatedKey } from '../../contracts/key.ts';
import { type OperationExamples, single } from './example.ts';
import { asked_at, key_id as id, tenant } from './story.ts';

const shown = {
  id,
  name: 'ci',
  key_preview: 'once_live_…9f3a',
  scopes: ['agent'],
  agent_ids: ['billing-agent'],
  created_at: asked_at,
  expires_at: '2027-01-01T00:00:00.000Z',
  last_used_at: asked_at,
} satisfies ApiKey;

export const keys: OperationExamples = {
  'post /v1/keys': {
    id: 'createKey',
    description:
      'The key is shown in this answer and never again. With the header `Idempotency-Key` a repeat gets the same key, so that a lost answer loses none.',
    body: {
      simple: { summary: 'For an agent, for ever', value: { name: 'ci', agent_ids: ['billing-agent'] } },
      narrow: {
        summary: 'To look after agents, for some time',
        value: { name: 'on call', scopes: ['operator'], expires_at: '2027-01-01T00:00:00Z' },
      },
    },
    answers: { 201: single('Made', { ...shown, key: 'once_live_…' } satisfies CreatedKey) },
  },
  'get /v1/keys': {
    id: 'listKeys',
    description: 'Expired ones are among them; what a key was is not shown again.',
    answers: { 200: single('One key', [shown]) },
  },
  'patch /v1/keys/:id': {
    id: 'changeKey',
    description: 'What is left out stays as it is. Scopes and agents never change: make another key.',
    parameters: { id },
    body: single('Another end', { expires_at: '2027-01-01T00:00:00Z' }),
    answers: { 200: single('Changed', shown) },
  },
  'post /v1/keys/:id/rotate': {
    id: 'rotateKey',
    description:
      'The id stays, the secret is another; it is shown in this answer and never again. Without an overlap everything the key was before ends at once (in other processes of the API within two seconds). A repeat within a minute, or within a day under one `Idempotency-Key`, gets the same key.',
    parameters: { id },
    body: single('Both open for an hour', { overlap_seconds: 3600 }),
    answers: {
      201: single('Rotated', { ...shown, key: 'once_live_…', previous_valid_until: asked_at } satisfies RotatedKey),
    },
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
