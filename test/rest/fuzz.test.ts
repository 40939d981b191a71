import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routes } from '../../src/api/routes/index.ts';
import { ok } from '../../src/dev/behaviours.ts';
import { buildWorld, type World } from '../stack/world.ts';

let world: World;
let tool: string;
beforeAll(async () => {
  world = await buildWorld();
  tool = await world.tool('fuzzed', ok());
});
afterAll(() => world.close());

/** Texts that have broken servers before, beside random ones. */
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom('\u0000', '\ud800', '𝒳', '../..', '%00', "';--", '__proto__', 'constructor', '-0', '1e999', ''),
);
const anything = fc.oneof(
  { depthSize: 'small' },
  fc.jsonValue({ depthSize: 'small' }),
  nasty,
  fc.double(),
  fc.bigInt().map(Number),
  fc.constant(JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`)),
  fc.constant(JSON.parse(`${'{"a":'.repeat(200)}1${'}'.repeat(200)}`)),
);

/** Bodies that are nearly right: known fields, each with something that may or may not belong there. */
const nearly = (fields: readonly string[]) =>
  fc.dictionary(
    fc.constantFrom(...fields, '__proto__', 'extra'),
    fc.oneof(anything, fc.constantFrom('k', 1, 60, true, {}, [])),
    {
      maxKeys: fields.length,
    },
  );

const fieldsOf = (schema: unknown): string[] => Object.keys((schema as { shape?: object }).shape ?? { key: 1 });

async function expectGraceful(method: string, path: string, body?: string): Promise<void> {
  const response = await fetch(`${world.rest.url}${path}`, {
    method: method.toUpperCase(),
    headers: { authorization: `Bearer ${world.rest.key}`, 'content-type': 'application/json', prefer: 'wait=5' },
    ...(body !== undefined && { body }),
  });
  const text = await response.text();
  expect(response.status, `${method} ${path} ${body} → ${text}`).toBeLessThan(500);
  expect(text).not.toMatch(/\bat .+:\d+:\d+|node_modules|select |insert /);
  if (text !== '') JSON.parse(text);
}

describe('bad input never makes a 5xx or shows a stack', () => {
  const posts = routes.filter((route) => route.body !== undefined);

  test.each(posts.map((route) => [route.path, route] as const))('POST %s, any body', async (_path, route) => {
    const fields = fieldsOf(route.body);
    const path = route.path.replace(/:(\w+)/g, 'fuzzed');
    await fc.assert(
      fc.asyncProperty(fc.oneof(anything, nearly(fields)), (body) =>
        expectGraceful('post', path, JSON.stringify(body)),
      ),
      { numRuns: 60 },
    );
  });

  test('a governed call with any arguments', async () => {
    await fc.assert(
      fc.asyncProperty(anything, nasty, (value, agent) =>
        expectGraceful('post', '/v1/ai/run', JSON.stringify({ agent_id: agent || 'a', tool, args: { value } })),
      ),
      { numRuns: 60 },
    );
  });

  test.each(routes.map((route) => [route.method, route.path] as const))(
    '%s %s, any path and query',
    async (method, path) => {
      const segment = fc.oneof(
        nasty.filter((text) => text.isWellFormed()).map(encodeURIComponent),
        fc.constantFrom('%', '%ff', '.', '%2e%2e'),
      );
      const query = fc.dictionary(
        fc.constantFrom('limit', 'offset', 'q', 'key', 'scope_id'),
        fc.oneof(segment, fc.constantFrom('1', '-1', '1e9', 'NaN')),
      );
      await fc.assert(
        fc.asyncProperty(segment, query, (name, pairs) => {
          const search = Object.entries(pairs)
            .map(([field, value]) => `${field}=${value}`)
            .join('&');
          const body = method === 'post' ? '{}' : undefined;
          return expectGraceful(method, `${path.replace(/:(\w+)/g, name || 'x')}?${search}`, body);
        }),
        { numRuns: 25 },
      );
    },
  );

  test('bytes that are not JSON at all', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1 }), (body) =>
        expectGraceful('post', '/v1/check-lock', body),
      ),
      { numRuns: 100 },
    );
  });
});
