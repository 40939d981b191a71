import type { RotatedSecret, Tool } from '../../contracts/tool.ts';
import { type OperationExamples, single } from './example.ts';
import { asked_at, tool as name } from './story.ts';

const scope_id = 'global';
const secret = 'a-long-shared-secret';
const url = 'https://tools.example.com/charge';
const parameters = { name, scope_id };
const input_schema = { type: 'object', properties: { usd: { type: 'number' } }, required: ['usd'] };

const registered = {
  name,
  scope_id,
  url,
  auth: { type: 'hmac_sha256' },
  timeout_ms: 15_000,
  max_retries: 2,
  enabled: true,
  description: 'Charges a card',
  price_usd: 0.3,
  idempotent: false,
  dedup_ttl: 3600,
  status_url: 'https://tools.example.com/charge/status',
  input_schema,
  headers: ['Authorization'],
  has_secret: true,
  secret_id: 'sec_0123456789abcdef01234567',
  secret_mask: '***ret',
  version: 1,
  created_at: asked_at,
  updated_at: asked_at,
} satisfies Tool;

export const tools: OperationExamples = {
  'post /v1/tools': {
    id: 'saveTool',
    description:
      'A tool is an HTTPS address that is called with POST, signed with the secret. It is known by its name within its scope: `global`, or `agent:` and an agent id for that agent alone. ' +
      'Saving it again replaces it; what is absent of secret, `headers` and `enabled` stays as it is. Arguments have to fit `input_schema` (JSON Schema 2020-12), else the call is blocked as `invalid_arguments`. `headers` go with every call and are kept as the secret is: their values are never shown. A tool that is not `idempotent` is never called twice where the first call may have arrived. An address in a private network is a 422 of the type `target_refused`, unless the operator allows it.',
    body: {
      simple: { summary: 'With what is needed', value: { name, url, auth: { type: 'hmac_sha256', secret } } },
      full: {
        summary: 'With limits, a price and an address to look up lost answers',
        value: {
          name,
          scope_id,
          url,
          auth: { type: 'hmac_sha256', secret },
          timeout_ms: 15_000,
          max_retries: 2,
          description: 'Charges a card',
          price_usd: 0.3,
          idempotent: false,
          dedup_ttl: 3600,
          status_url: 'https://tools.example.com/charge/status',
          input_schema,
          headers: { Authorization: 'Bearer of-the-gateway' },
        },
      },
      own: {
        summary: 'For one agent alone, which then does not see the global one',
        value: { name, scope_id: 'agent:billing-agent', url, auth: { type: 'hmac_sha256', secret } },
      },
    },
    answers: { 200: single('Without its secret', registered) },
  },
  'get /v1/tools': {
    id: 'listTools',
    parameters: { scope_id: 'all' },
    answers: { 200: single('One tool', [registered]) },
  },
  'get /v1/tools/:name': {
    id: 'getTool',
    description: 'The secret is never shown: only its id and its last three characters.',
    parameters,
    answers: { 200: single('Without its secret', registered) },
  },
  'post /v1/tools/:name/toggle': {
    id: 'toggleTool',
    description:
      'Calls of a disabled tool are blocked with `tool_disabled`, and so are those of the global one it hides.',
    parameters,
    body: {
      disable: { summary: 'Disable it', value: { enabled: false } },
      enable: { summary: 'Enable it', value: { enabled: true } },
    },
    answers: { 200: single('Disabled', { name, enabled: false }) },
  },
  'post /v1/tools/:name/rotate-secret': {
    id: 'rotateToolSecret',
    description:
      'For `overlap_seconds` (a day where absent, 30 days at the most) calls are signed with both secrets. A secret that is chosen here is shown in this answer and never again.',
    parameters,
    body: {
      chosen: { summary: 'A secret chosen here, both for a day', value: {} },
      own: {
        summary: 'A secret of one’s own, at once',
        value: { secret: 'another-shared-secret', overlap_seconds: 0 },
      },
    },
    answers: {
      200: single('Chosen here', {
        name,
        scope_id,
        secret_id: 'sec_89abcdef0123456789abcdef',
        secret_mask: '***f3a',
        secret: 'whsec_…',
        previous_valid_until: '2026-11-25T09:30:00.000Z',
      } satisfies RotatedSecret),
    },
  },
  'delete /v1/tools/:name': {
    id: 'deleteTool',
    description: 'Deleting it again changes nothing; a name that was never registered is a 404.',
    parameters,
    answers: { 200: single('Deleted', { ok: true, deleted: name, scope_id }) },
  },
};
