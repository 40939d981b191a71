import {
  type CreateDocumentOptions,
  createDocument,
  type ZodOpenApiObject,
  type ZodOpenApiPathsObject,
} from 'zod-openapi';
import { JsonValue } from '../../contracts/common.ts';
import { type RefusalCode, refusals } from '../../contracts/errors.ts';
import { detailOf } from '../errors.ts';
import type { Route } from '../route.ts';
import { operationOf } from './operation.ts';

/** What is refused before anybody knows which operation is meant. */
const ofNoOperation: readonly RefusalCode[] = [
  'bad_request',
  'not_found',
  'method_not_allowed',
  'request_timeout',
  'uri_too_long',
  'headers_too_large',
];

const description = [
  'What AI agents do, at most once, inside a policy and a budget, and on the record.',
  'Every refusal is `{"detail": …}`. Any request may also get one that belongs to no operation:',
  ofNoOperation.map((code) => `- ${refusals[code].status}: \`${JSON.stringify(detailOf(code))}\``).join('\n'),
  'Every POST is safe to repeat. In the body of a request a field that may be left out may be `null` too.',
].join('\n\n');

/** The API as an OpenAPI 3.1 document, made of the schemas that parse its requests. */
export function openApiDocument(all: readonly Route[]) {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of all) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  const document: ZodOpenApiObject = {
    openapi: '3.1.0',
    info: {
      title: 'OnceOnly on Temporal',
      version: '1',
      description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    components: {
      schemas: { JsonValue },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'once_live_…' } },
    },
    security: [{ key: [] }],
    paths,
  };
  return createDocument(document, { override: withUnknownMembers });
}

/** Members that are not described are read as exactly as those that are, and then left alone. */
const withUnknownMembers: NonNullable<CreateDocumentOptions['override']> = ({ jsonSchema, io }) => {
  if (io === 'input' && jsonSchema.properties !== undefined)
    jsonSchema.additionalProperties ??= { $ref: '#/components/schemas/JsonValue' };
};
