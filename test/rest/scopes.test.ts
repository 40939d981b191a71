import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routes } from '../../src/api/routes/index.ts';
import { type Scope, scopes } from '../../src/contracts/scope.ts';
import { createRest, type Rest } from '../stack/rest.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';

/** The table of docs/scopes.md: what each scope is promised. */
const table = readFileSync(new URL('../../docs/scopes.md', import.meta.url), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, operation, ...cells] = line.split('|').map((cell) => cell.trim());
    const [, method = '', path = ''] = /^`([A-Z]+) (\/v1\/\S+)`$/.exec(operation ?? '') ?? [];
    if (method === '') return [];
    const [bound = ''] = cells.slice(scopes.length);
    return [{ method, path, may: scopes.map((scope, n) => [scope, cells[n] === 'yes'] as const), bound }];
  });

let world: World;
const keys = new Map<Scope, Rest>();
let bound: Rest;
beforeAll(async () => {
  world = await buildWorld({ roles: ['api'] });
  const make = async (fields: object) =>
    createRest(world.rest.url, (await world.rest.post('/v1/keys', { name: unique('key'), ...fields })).body.key);
  for (const scope of scopes) keys.set(scope, await make({ scopes: [scope] }));
  bound = await make({ scopes: ['agent', 'operator', 'auditor'], agent_ids: ['mine'] });
});
afterAll(() => world.close());

/** Asks for an operation in a way that changes nothing: what it names is not there, and its body is none. */
async function ask(rest: Rest, method: string, path: string) {
  const scope = path.startsWith('/v1/tools/') ? '?scope_id=agent:mine' : '';
  const named = path.replace('{agent_id}', 'mine').replace(/\{\w+\}/g, 'nothing') + scope;
  const response = await fetch(`${rest.url}${named}`, {
    method,
    headers: { authorization: `Bearer ${rest.key}`, 'content-type': 'application/json' },
    ...(method === 'POST' || method === 'PATCH' ? { body: '"none"' } : {}),
  });
  const { detail } = (await response.json()) as { detail?: { error?: string } };
  return { status: response.status, error: detail?.error };
}

test('the table names every operation, each once', () => {
  const named = table.map(({ method, path }) => `${method} ${path}`);
  const there = routes.map(({ method, path }) => `${method.toUpperCase()} ${path.replace(/:(\w+)/g, '{$1}')}`);
  expect(named.sort()).toEqual(there.sort());
});

describe.each(table)('$method $path', ({ method, path, may, bound: own }) => {
  test.each(may)('a key with the scope %s: %s', async (scope, isGranted) => {
    const { status, error } = await ask(keys.get(scope) as Rest, method, path);
    if (isGranted) {
      expect(error).not.toBe('insufficient_scope');
      expect(status).not.toBe(401);
    } else expect([status, error]).toEqual([403, 'insufficient_scope']);
  });

  test('a key bound to agents', async () => {
    const { error } = await ask(bound, method, path);
    const isForAdmins = may.every(([scope, granted]) => granted === (scope === 'admin'));
    if (own === 'no') expect(error).toBe(isForAdmins ? 'insufficient_scope' : 'agent_not_permitted');
    else expect(error).not.toBe('agent_not_permitted');
  });
});

test('a refused scope is told before the body is read, with those that would do', async () => {
  const answer = await (keys.get('agent') as Rest).post('/v1/policies/mine', '{not json');
  expect([answer.status, answer.body.detail]).toEqual([
    403,
    { error: 'insufficient_scope', message: expect.any(String), needs: ['operator'] },
  ]);
});

test('an admin key may do everything, beside other scopes too', async () => {
  const { body } = await world.rest.post('/v1/keys', { name: unique('key'), scopes: ['auditor', 'admin', 'agent'] });
  expect(body.scopes).toEqual(['agent', 'auditor', 'admin']);
  expect((await createRest(world.rest.url, body.key).post('/v1/settings', {})).status).toBe(200);
});

test.each([
  ['read', ['auditor'], ['GET /v1/audit'], ['POST /v1/check-lock', 'POST /v1/tools']],
  ['write', ['agent', 'operator'], ['POST /v1/check-lock', 'POST /v1/tools'], ['POST /v1/settings']],
])('a stored key with the scope %s has %j', async (old, become, may, mayNot) => {
  const key = `once_live_${unique('old')}`;
  await world.query(
    `insert into api_keys (id, tenant, name, hash, preview, scopes)
     values ($1, 'default', 'old', sha256($2::text::bytea), 'once_live_…', $3)`,
    [unique('key'), key, [old]],
  );
  // What the migration does to those that are there.
  await world.query(`update api_keys set scopes = scopes || $2 where $1 = any (scopes)`, [old, become]);
  const rest = createRest(world.rest.url, key);
  const errorOf = async (operation: string) => {
    const [method = '', path = ''] = operation.split(' ');
    return (await ask(rest, method, path)).error;
  };
  for (const operation of may) expect(await errorOf(operation)).not.toBe('insufficient_scope');
  for (const operation of mayNot) expect(await errorOf(operation)).toBe('insufficient_scope');
  const listed = (await world.rest.get('/v1/keys')).body.filter(({ name }: { name: string }) => name === 'old');
  expect(listed.at(-1).scopes).toEqual(become);
});
