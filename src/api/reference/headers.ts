import type { z } from 'zod';
import type { ZodOpenApiResponseObject } from 'zod-openapi';

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

const etag: AnswerHeaders = {
  ETag: { description: 'The version, as `If-Match` takes it', schema: { type: 'string' }, example: '"3"' },
};

const ofAnswers: Readonly<Record<string, AnswerHeaders>> = {
  'post /v1/check-lock': {
    'X-OnceOnly-Status': {
      description: 'The `status` of the body',
      schema: { type: 'string', enum: ['locked', 'duplicate'] },
      example: 'locked',
    },
  },
  'get /v1/approvals': {
    'X-Next-Cursor': {
      description: 'Where the next page begins; absent at the end',
      schema: { type: 'string' },
      example: '1795512600000000.apr_0199a4c27f3e7b8d9c1d2e3f4a5b6c7d',
    },
  },
  'post /v1/policies/:agent_id': etag,
  'post /v1/policies/:agent_id/from-template': etag,
  'get /v1/policies/:agent_id': etag,
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
