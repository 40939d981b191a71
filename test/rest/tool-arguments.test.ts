import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import { callsOf } from '../faults/scene.ts';
import { buildWorld, SECRET, unique, type World } from '../stack/world.ts';

let world: World;
beforeAll(async () => {
  world = await buildWorld();
});
afterAll(() => world.close());

const refund = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'https://example.com/refund',
  type: 'object',
  properties: {
    amount: { type: 'number', exclusiveMinimum: 0, maximum: 500, multipleOf: 0.01 },
    currency: { enum: ['usd', 'eur'] },
    items: { type: 'array', prefixItems: [{ type: 'string' }], items: { $ref: '#/$defs/item' }, uniqueItems: true },
    note: { type: 'string', minLength: 1, pattern: '^[^<]*$' },
  },
  required: ['amount'],
  unevaluatedProperties: false,
  $defs: { item: { type: 'object', required: ['sku'], properties: { sku: { type: 'string' } } } },
};
const run = async (tool: string, args: object, fields: object = {}) =>
  (await world.run({ agent_id: unique('agent'), tool, args, ...fields })).body;
const register = (input_schema: unknown) =>
  world.rest.post('/v1/tools', {
    name: unique('tool'),
    url: 'https://tools.example.com/x',
    auth: { type: 'hmac_sha256', secret: 'a-secret-nobody-sees' },
    input_schema,
  });

describe('arguments that fit the schema of their tool', () => {
  test.each([
    [{ amount: 19.99 }],
    [{ amount: 0.07, currency: 'eur' }],
    [{ amount: 1, items: ['first', { sku: 'a' }, { sku: 'b', n: 1 }], note: 'thanks' }],
    [{ amount: 1, run_id: 'a timeline is no argument' }],
  ])('are let through: %j', async (args) => {
    expect(await run(await world.tool('refund', ok(), { input_schema: refund }), args)).toMatchObject({
      decision: 'executed',
    });
  });
});

describe('arguments that do not', () => {
  test.each([
    [{}, "the object must have required property 'amount'"],
    [{ amount: '5' }, '/amount must be number'],
    [{ amount: 0 }, '/amount must be > 0'],
    [{ amount: 1.005 }, '/amount must be multiple of 0.01'],
    [{ amount: 1, currency: 'gbp' }, '/currency must be one of ["usd","eur"]'],
    [{ amount: 1, items: [5] }, '/items/0 must be string'],
    [{ amount: 1, items: ['a', {}] }, "/items/1 must have required property 'sku'"],
    [{ amount: 1, note: '<b>' }, '/note must match pattern "^[^<]*$"'],
    [{ amount: 1, bcc: 'x' }, "the object must not have 'bcc'"],
    [{ amount: 1, constructor: 'x' }, "the object must not have 'constructor'"],
  ])('are blocked, and said why: %j', async (args, why) => {
    const tool = await world.tool('refund', ok(), { input_schema: refund });
    const body = await run(tool, args);
    expect(body).toMatchObject({
      ok: false,
      allowed: false,
      decision: 'blocked',
      policy_reason: 'invalid_arguments',
      risk_level: 'low',
      arguments_error: why,
      result: null,
      spend_usd: 0,
    });
    const action = (await world.rest.get(`/v1/actions/${body.action_id}`)).body;
    expect(action).toMatchObject({ status: 'blocked', policy_reason: 'invalid_arguments', arguments_error: why });
    const { checks } = (await world.rest.get(`/v1/decisions/${body.action_id}/explain`)).body;
    expect(checks).toContainEqual({ check: 'invalid_arguments', passed: false, detail: { error: why } });
    expect(callsOf(world, tool)).toEqual([]);
  });

  test('that every object inherits are not there', async () => {
    const needs = { type: 'object', required: ['constructor', 'toString'] };
    expect((await run(await world.tool('strange', ok(), { input_schema: needs }), {})).policy_reason).toBe(
      'invalid_arguments',
    );
    const types = { type: 'object', properties: { constructor: { type: 'string' } } };
    expect((await run(await world.tool('strange', ok(), { input_schema: types }), {})).decision).toBe('executed');
  });

  test('are told after the lists and before the conditions, and under a key of their own they are not remembered', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('refund', ok(), { input_schema: refund })];
    const set = (policy: object) => world.rest.post(`/v1/policies/${agent}`, policy);
    const call = async (args: object, idempotency_key = unique('key')) =>
      (await world.run({ agent_id: agent, tool, args, idempotency_key })).body.policy_reason;
    const never = { name: 'never', expression: 'false' };
    await set({ conditions: [never] });
    expect([await call({}), await call({ amount: 1 })]).toEqual(['invalid_arguments', 'condition_not_met']);
    await set({ blocked_tools: [tool], conditions: [never] });
    expect(await call({})).toBe('tool_explicitly_blocked');
    await set({ conditions: [{ name: 'small', expression: 'args.amount <= 5' }], fail_open_tools: [tool] });
    const key = unique('key');
    expect([await call({ amount: '4' }, key), await call({ amount: 4 }, key)]).toEqual(['invalid_arguments', 'ok']);
  });

  test('are blocked in a simulation and in a dry run too, and by the schema that is in force', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('refund', ok(), { input_schema: refund })];
    const simulate = async (args: object) =>
      (await world.rest.post(`/v1/policies/${agent}/simulate`, { call: { tool, args } })).body;
    expect(await simulate({ amount: 1 })).toMatchObject({ decision: 'allowed' });
    expect(await simulate({ amount: 'one' })).toMatchObject({
      policy_reason: 'invalid_arguments',
      arguments_error: '/amount must be number',
    });
    const metadata = { agent_id: agent, actions: [{ tool, args: {} }], dry_run: true };
    const key = unique('run');
    await world.rest.post('/v1/ai/run', { key, metadata });
    const result = async () => (await world.rest.get(`/v1/ai/result?key=${key}`)).body.result;
    await expect
      .poll(result, { timeout: 30_000 })
      .toMatchObject({ actions: [{ decision: 'blocked', policy_reason: 'invalid_arguments' }] });
    const { url } = (await world.rest.get(`/v1/tools/${tool}`)).body;
    await world.rest.post('/v1/tools', { name: tool, url, input_schema: { type: 'object', required: ['reason'] } });
    expect(await run(tool, { amount: 1 })).toMatchObject({ policy_reason: 'invalid_arguments' });
    expect(await run(tool, { amount: 'one', reason: 'none' })).toMatchObject({ decision: 'executed' });
  });

  test('of the tool that is called: an agent of its own has its own schema', async () => {
    const [agent, tool] = [unique('agent'), await world.tool('refund', ok(), { input_schema: refund })];
    const { url } = (await world.rest.get(`/v1/tools/${tool}`)).body;
    const auth = { type: 'hmac_sha256', secret: SECRET };
    const own = {
      name: tool,
      scope_id: `agent:${agent}`,
      url,
      auth,
      input_schema: { type: 'object', maxProperties: 0 },
    };
    expect((await world.rest.post('/v1/tools', own)).status).toBe(200);
    const call = async (agent_id: string) => (await world.run({ agent_id, tool, args: { amount: 1 } })).body;
    expect(await call(agent)).toMatchObject({ arguments_error: 'the object must NOT have more than 0 properties' });
    expect(await call(unique('other'))).toMatchObject({ decision: 'executed' });
  });
});

describe('a schema', () => {
  test.each([
    [{ type: 'nothing' }, ['type']],
    [{ properties: { 'a/b': { type: 'object', required: 'x' } } }, ['properties', 'a/b', 'required']],
    [{ $ref: '#/$defs/none' }, []],
    [{ $ref: 'https://example.com/other.json' }, []],
    [{ properties: { a: { pattern: '(' } } }, []],
    [{ $schema: 'http://json-schema.org/draft-07/schema#' }, ['$schema']],
    [{ $async: true }, ['$async']],
    [{ minimum: 'one' }, ['minimum']],
  ])('that is none is refused with its place: %j', async (schema, place) => {
    const { status, body } = await register(schema);
    expect(status).toBe(422);
    expect(body.detail).toMatchObject([{ type: 'json_schema', loc: ['body', 'input_schema', ...place] }]);
    expect(body.detail[0].msg).toMatch(/\w/);
  });

  test.each([[{}], [{ description: 'anything goes', 'x-unknown': 1, format: 'strange' }], [{ $id: 'https://a.b/c' }]])(
    'is as it was given: %j',
    async (schema) => {
      for (const { status, body } of [await register(schema), await register(schema)])
        expect([status, body.input_schema]).toEqual([200, schema]);
    },
  );

  test('that takes too long to read is refused', async () => {
    const doubling = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [
        `d${n}`,
        { allOf: [{ $ref: `#/$defs/d${n + 1}`, not: {} }, { anyOf: Array(60).fill({ $ref: `#/$defs/d${n + 1}` }) }] },
      ]),
    );
    const { status, body } = await register({ $ref: '#/$defs/d0', $defs: { ...doubling, d40: { type: 'string' } } });
    expect(status).toBe(422);
    expect(body.detail).toMatchObject([{ type: 'json_schema', msg: 'takes longer than 50 ms to compile' }]);
  });

  test.each([
    ['a pattern', { properties: { a: { type: 'string', pattern: '^(a+)+$' } } }, { a: `${'a'.repeat(60)}!` }],
    [
      'unequal items',
      { properties: { a: { uniqueItems: true } } },
      { a: Array.from({ length: 9_000 }, (_, n) => ({ n, of: [n] })) },
    ],
    ['itself', { $ref: '#' }, { a: 1 }],
  ])('that takes too long by %s denies, and holds up nobody else', async (_, input_schema, args) => {
    const tool = await world.tool('slow', ok(), { input_schema });
    const fine = await world.tool('refund', ok(), { input_schema: refund });
    const [denied, made] = await Promise.all([run(tool, args), run(fine, { amount: 2 })]);
    expect(denied).toMatchObject({ decision: 'blocked', policy_reason: 'invalid_arguments' });
    expect(denied.arguments_error).toMatch(/input_schema (took longer than 50 ms|cannot be used)/);
    expect(made).toMatchObject({ decision: 'executed' });
    expect(callsOf(world, tool)).toEqual([]);
  });
});
