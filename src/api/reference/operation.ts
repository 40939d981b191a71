import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiParameters, ZodOpenApiResponsesObject } from 'zod-openapi';
import type { NamedExamples, OperationExample } from '../examples/example.ts';
import { examples } from '../examples/index.ts';
import type { Route } from '../route.ts';
import { isOptional } from '../validation.ts';
import { answerHeadersOf } from './headers.ts';
import { refusedOf } from './refused.ts';

/** How `examples` names an operation. */
export const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method} ${path}`;

/** What the document says of one route. */
export function operationOf(route: Route): ZodOpenApiOperationObject {
  const example = examples[nameOf(route)];
  const scope = `Needs a key with ${route.needs.map((name) => `\`${name}\``).join(' or ')} among its scopes${route.needs.includes('admin') ? '' : ' (`admin` may do everything)'}.`;
  return {
    ...(example && { operationId: example.id }),
    summary: route.summary,
    description: [example?.description, scope].filter((part) => part !== undefined).join('\n\n'),
    tags: [route.tag],
    requestParams: parametersOf(route, example?.parameters),
    ...(route.body && {
      requestBody: {
        required: !isOptional(route.body),
        content: { 'application/json': { schema: route.body, ...namedExamples(example?.body) } },
      },
    }),
    responses: { ...successesOf(route, example), ...refusedOf(route) },
  };
}

const namedExamples = (examples: NamedExamples | undefined) => (examples === undefined ? {} : { examples });

function parametersOf(route: Route, values: OperationExample['parameters'] = {}): ZodOpenApiParameters {
  return {
    ...(route.params && { path: exemplified(route.params as z.ZodObject, values) }),
    ...(route.query && { query: exemplified(route.query as z.ZodObject, values) }),
  };
}

/** The same parameters, each with its example. */
const exemplified = ({ shape }: z.ZodObject, values: Readonly<Record<string, unknown>>): z.ZodObject =>
  z.object(
    Object.fromEntries(
      Object.entries(shape).map(([name, schema]) => [
        name,
        name in values ? (schema as z.ZodType).meta({ param: { example: values[name] } }) : schema,
      ]),
    ),
  );

function successesOf(route: Route, example: OperationExample | undefined): ZodOpenApiResponsesObject {
  const { status = 200, otherwise = {} } = route;
  const meanings = { [status]: status === 201 ? 'Created' : 'OK', ...otherwise };
  const headers = answerHeadersOf(nameOf(route));
  return Object.fromEntries(
    Object.entries(meanings).map(([code, description]) => {
      const json = { schema: route.answer, ...namedExamples(example?.answers[Number(code)]) };
      return [code, { description, headers, content: { 'application/json': json, ...streamsOf(route, example) } }];
    }),
  );
}

const streamsOf = ({ streams = {} }: Route, example: OperationExample | undefined) =>
  Object.fromEntries(
    Object.entries(streams).map(([type, description]) => [
      type,
      { schema: z.string().meta({ description }), example: example?.streams?.[type] },
    ]),
  );
