import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { examples } from '../../src/api/examples/index.ts';
import { openApiDocument } from '../../src/api/reference/document.ts';
import { nameOf } from '../../src/api/reference/operation.ts';
import { codesOf } from '../../src/api/reference/refused.ts';
import { routes } from '../../src/api/routes/index.ts';
import { refusals } from '../../src/contracts/errors.ts';
import { Policy } from '../../src/contracts/policy.ts';
import { compile } from '../../src/domain/condition/condition.ts';

interface Media {
  readonly schema: object;
  readonly examples?: Record<string, { value: unknown }>;
}
interface Answer {
  readonly headers: Record<string, unknown>;
  readonly content: Record<string, Media>;
}
interface Operation {
  readonly operationId: string;
  readonly description: string;
  readonly parameters?: Array<{ name: string; in: string; schema: object; example?: unknown }>;
  readonly requestBody?: { content: Record<string, Media> };
  readonly responses: Record<string, Answer>;
}

/** As a client reads it. */
const document = JSON.parse(JSON.stringify(openApiDocument(routes)));
const found = (answer: Answer & { $ref?: string }): Answer =>
  answer.$ref === undefined ? answer : document.components.responses[answer.$ref.split('/').at(-1) ?? ''];
const operations = routes.map((route) => {
  const operation: Operation = document.paths[route.path.replace(/:(\w+)/g, '{$1}')][route.method];
  const responses = Object.fromEntries(
    Object.entries(operation.responses).map(([status, answer]) => [status, found(answer)]),
  );
  return { name: nameOf(route), route, operation: { ...operation, responses }, example: examples[nameOf(route)] };
});

const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema({ $id: 'openapi', ...document });
const faultsBySchema = (schema: object, value: unknown) => {
  const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'));
  return ajv.validate(absolute, value) ? [] : ajv.errors;
};
const faultsOf = (schema: z.ZodType, value: unknown) => schema.safeParse(value).error?.issues ?? [];
const valuesOf = (all: Readonly<Record<string, { value: unknown }>> = {}) =>
  Object.values(all).map(({ value }) => value);

test('every example is of a route, every operationId its own', () => {
  const names = operations.map(({ name }) => name);
  expect(Object.keys(examples).filter((name) => !names.includes(name))).toEqual([]);
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(routes.length);
  for (const id of ids) expect(id).toMatch(/^[a-z][a-zA-Z]+$/);
});

describe.each(operations)('$name', ({ route, operation, example }) => {
  const { status = 200, otherwise = {} } = route;
  const successes = [status, ...Object.keys(otherwise).map(Number)];

  test('has an example of its body, if it has one, that its own schema takes', () => {
    const bodies = valuesOf(example?.body);
    expect(bodies.length > 0).toBe(route.body !== undefined);
    const schema = operation.requestBody?.content['application/json']?.schema ?? {};
    for (const body of bodies) {
      expect(route.body && faultsOf(route.body, body)).toEqual([]);
      expect(faultsBySchema(schema, body)).toEqual([]);
    }
  });

  test('has an example of every success that its own schema could have made', () => {
    expect(Object.keys(example?.answers ?? {}).map(Number)).toEqual(successes);
    for (const code of successes) {
      const answers = valuesOf(example?.answers[code]);
      expect(answers).not.toEqual([]);
      for (const answer of answers) {
        expect(faultsOf(route.answer, answer)).toEqual([]);
        const schema = operation.responses[code]?.content['application/json']?.schema ?? {};
        expect(faultsBySchema(schema, answer)).toEqual([]);
      }
    }
    expect(Object.keys(example?.streams ?? {})).toEqual(Object.keys(route.streams ?? {}));
  });

  test('has an example of every parameter that its own schema takes', () => {
    const parameters = operation.parameters ?? [];
    const values = (place: string) =>
      Object.fromEntries(parameters.filter((one) => one.in === place).map(({ name, example }) => [name, example]));
    expect(route.params ? faultsOf(route.params, values('path')) : []).toEqual([]);
    // A query is text.
    const query = Object.entries(values('query')).map(([name, value]) => [name, String(value)]);
    expect(route.query ? faultsOf(route.query, Object.fromEntries(query)) : []).toEqual([]);
    const known = parameters.map(({ name }) => name);
    expect(Object.keys(example?.parameters ?? {}).filter((name) => !known.includes(name))).toEqual([]);
    const bare = ({ example, schema }: { example?: unknown; schema: object }) =>
      example === undefined && !('example' in schema);
    expect(parameters.filter(bare)).toEqual([]);
  });

  test('names every refusal with an example of the shape that is documented', () => {
    for (const code of codesOf(route)) {
      const answer = operation.responses[refusals[code].status];
      expect(answer?.content['application/json']?.examples).toHaveProperty(code);
    }
    for (const answer of Object.values(operation.responses)) {
      const { schema, examples } = answer.content['application/json'] ?? { schema: {} };
      expect(valuesOf(examples)).not.toEqual([]);
      for (const value of valuesOf(examples)) expect(faultsBySchema(schema, value)).toEqual([]);
    }
    const hasInput = [route.params, route.query, route.body].some((part) => part !== undefined);
    expect('422' in operation.responses).toBe(hasInput);
    expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['401', '403', '429', '500', '503']));
  });

  test('says which headers answers have', () => {
    for (const [code, { headers }] of Object.entries(operation.responses)) {
      expect(headers).toHaveProperty('X-Request-Id');
      expect('Retry-After' in headers).toBe(['429', '503'].includes(code));
    }
  });
});

test('every condition in an example can be compiled', () => {
  const { value } = examples['post /v1/policies/:agent_id']?.body?.conditions ?? {};
  const { conditions } = Policy.parse(value);
  expect(conditions).toHaveLength(1);
  expect(() => (conditions ?? []).map(({ expression }) => compile(expression))).not.toThrow();
});

test('no example has a host but example.com', () => {
  const hosts = JSON.stringify(examples).matchAll(/https?:\/\/([^/"]+)/g);
  expect([...hosts].map(([, host]) => host).filter((host) => !host?.endsWith('example.com'))).toEqual([]);
});
