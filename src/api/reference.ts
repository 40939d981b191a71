import { Router } from 'express';
import swaggerUi from 'swagger-ui-express';
import { z } from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { JsonValue } from '../contracts/common.ts';
import { type RefusalCode, refusals } from '../contracts/errors.ts';
import type { Route } from './route.ts';
import { routes } from './routes/index.ts';
import { scopeOf } from './scope.ts';
import { isOptional } from './validation.ts';

const everywhere: readonly RefusalCode[] = [
  'missing_token',
  'invalid_api_key',
  'api_key_disabled',
  'insufficient_scope',
  'rate_limited',
  'unavailable',
];
const withBody: readonly RefusalCode[] = ['payload_too_large', 'unsupported_media_type'];

const Detail = z.object({ detail: z.unknown() }).meta({ id: 'Refusal' });

/** The API as an OpenAPI 3.1 document, made of the schemas that parse its requests. */
export function openApiDocument(all: readonly Route[]) {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of all) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'OnceOnly on Temporal', version: '1', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    components: {
      schemas: { JsonValue },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'once_live_…' } },
    },
    security: [{ key: [] }],
    paths,
  });
}

function operationOf(route: Route): ZodOpenApiOperationObject {
  const codes = [...everywhere, ...(route.body ? withBody : []), ...(route.refusals ?? [])];
  return {
    summary: route.summary,
    description: `Needs a key with the scope ${scopeOf(route)}.`,
    tags: [route.tag],
    requestParams: {
      ...(route.params && { path: route.params as z.ZodObject }),
      ...(route.query && { query: route.query as z.ZodObject }),
    },
    ...(route.body && {
      requestBody: { required: !isOptional(route.body), content: { 'application/json': { schema: route.body } } },
    }),
    responses: {
      ...successesOf(route),
      ...refusalsOf(codes),
    },
  };
}

function successesOf(route: Route) {
  const { status = 200, otherwise = {} } = route;
  const meanings = { [status]: status === 201 ? 'Created' : 'OK', ...otherwise };
  const content = { 'application/json': { schema: route.answer }, ...streamsOf(route) };
  return Object.fromEntries(Object.entries(meanings).map(([code, description]) => [code, { description, content }]));
}

const streamsOf = ({ streams = {} }: Route) =>
  Object.fromEntries(
    Object.entries(streams).map(([type, description]) => [type, { schema: z.string().meta({ description }) }]),
  );

function refusalsOf(codes: readonly RefusalCode[]) {
  const byStatus = new Map<number, RefusalCode[]>([[422, []]]);
  for (const code of codes) {
    const { status } = refusals[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, named]) => [
      String(status),
      {
        description: [...named, ...(status === 422 ? ['validation'] : [])].join(', '),
        content: { 'application/json': { schema: Detail } },
      },
    ]),
  );
}

/** `GET /openapi.json`, and `GET /docs` to browse it; both need no key and nothing from outside. */
export function reference(): Router {
  const router = Router();
  const document = openApiDocument(routes);
  router.get('/openapi.json', (_request, response) => {
    response.json(document);
  });
  router.use('/docs', swaggerUi.serve, swaggerUi.setup(undefined, { swaggerOptions: { url: '/openapi.json' } }));
  return router;
}
