import { z } from 'zod';
import type { ZodOpenApiParameters, ZodOpenApiResponseObject } from 'zod-openapi';
import { Key, Owner } from '../../contracts/common.ts';

type AnswerHeaders = Exclude<ZodOpenApiResponseObject['headers'], z.core.$ZodType | undefined>;

/** On every answer. */
export const requestId: AnswerHeaders = {
  'X-Request-Id': {
    description: 'The one that the request came with, else a new one',
    schema: { type: 'string' },
    example: '6f1c2d3e-4b5a-4c7d-8e9f-0a1b2c3d4e5f',
  },
};

export const retryAfter: AnswerHeaders = {
  'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' }, example: 1 },
};

const ofAnswers: Readonly<Record<string, AnswerHeaders>> = {
  'post /v1/check-lock': {
    'X-OnceOnly-Status': {
      description: 'The `status` of the body',
      schema: { type: 'string', enum: ['locked', 'duplicate'] },
      example: 'locked',
    },
  },
  'get /v1/usage/all': {
    'X-OnceOnly-Plan': { description: 'The plan', schema: { type: 'string' }, example: 'self_hosted' },
    'X-OnceOnly-Month': {
      description: 'The month in UTC',
      schema: { type: 'string', pattern: '^\\d{4}-\\d{2}$' },
      example: '2026-11',
    },
  },
};

/** Of what a route itself answers. */
export const answerHeadersOf = (operation: string): AnswerHeaders => ({ ...requestId, ...ofAnswers[operation] });

const repeatable = Key.optional().meta({
  description: 'A repeat under the same key gets the first answer; with another payload it is refused',
  example: 'charge:invoice-789',
});

const ofRequests: Readonly<Record<string, z.ZodObject>> = {
  'post /v1/check-lock': z.object({
    'X-OnceOnly-Owner': Owner.optional().meta({ description: 'The `owner`, where the body has none' }),
  }),
  'post /v1/ai/run': z.object({
    'Idempotency-Key': repeatable,
    Prefer: z.string().optional().meta({
      description: 'Mode B: seconds to wait, where the body has no `wait` (RFC 7240)',
      example: 'wait=10',
    }),
  }),
  'post /v1/events': z.object({ 'Idempotency-Key': repeatable }),
  'post /v1/keys': z.object({ 'Idempotency-Key': repeatable }),
  'post /v1/tenants': z.object({ 'Idempotency-Key': repeatable }),
};

/** What a route reads of the headers of its request. */
export function requestHeadersOf(operation: string): ZodOpenApiParameters {
  const header = ofRequests[operation];
  return header === undefined ? {} : { header };
}
