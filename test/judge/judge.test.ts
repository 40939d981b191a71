import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/contracts/common.ts';
import type { Condition } from '../../src/contracts/policy.ts';
import { findings } from '../../src/domain/condition/condition.ts';
import type { Considered } from '../../src/domain/policy.ts';
import { createJudge } from '../../src/judge/judge.ts';
import { createThreads } from '../../src/judge/threads.ts';

const outcomes: string[] = [];
const judge = createJudge({ threads: createThreads(), metrics: { judged: (outcome) => outcomes.push(outcome) } });
afterAll(() => judge.close());

const time = new Date('2026-11-24T14:30:00Z');
const considered = (conditions: Condition[], args: JsonObject = {}): Considered => ({
  call: {
    ...{ agent: 'agent', tool: 'tool', args, time, spendMicros: 2_500_000 },
    ...{ killed: false, agentEnabled: true, toolEnabled: true, policyMissing: false, approved: false },
  },
  policy: { conditions },
  used: { actionsThisHour: 0, toolCallsToday: 0, microsToday: 0 },
});
const named = (...expressions: string[]): Condition[] =>
  expressions.map((expression, n) => ({ name: `c${n}`, expression }));
const ask = (expressions: string[], args: JsonObject = {}, tenant = 'tenant') =>
  judge.said(tenant, considered(named(...expressions), args)).then(({ found }) => found);
const many = Array.from({ length: 5_000 }, (_, n) => n);
/** Long, and far within the deadline on a slow machine too. */
const some = many.slice(0, 500);
const large = { text: 'a'.repeat(1_000), pattern: '(a?){999}' };
/** Takes longer than any deadline, whatever the machine. */
const slow = 'args.many.all(x, args.many.all(y, x + y >= 0.0))';
/** A value put together with itself eight times, again and again. */
const doubled = (value: string, times: number): string =>
  times === 0 ? value : `[${doubled(value, times - 1)}].map(v, v + v + v + v + v + v + v + v)[0]`;
const late = { holds: false, gaveUp: true, error: 'took longer than 50 ms' };

describe('what a thread says', () => {
  test('is what the same conditions say in this process', async () => {
    const value = fc.oneof(
      fc.constantFrom<fc.JsonValue>(null, true, false, -0, 0, 1, 2.5, 'a', 'usd', '__proto__'),
      fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), fc.integer()),
    );
    const args = fc.dictionary(fc.constantFrom('a', 'b', 'c'), value) as fc.Arbitrary<JsonObject>;
    const operand = fc.constantFrom(
      'args.a',
      'args.b',
      'args.c',
      '1.0',
      '"usd"',
      'spend_usd',
      '[1.0]',
      'agent',
      'null',
    );
    const comparison = fc
      .tuple(operand, fc.constantFrom('==', '!=', '<', '>=', 'in'), operand)
      .map(([left, sign, right]) => `${left} ${sign} ${right}`);
    const special = fc.constantFrom(
      ...[
        'has(args.a)',
        'args.a.all(x, x > 0)',
        'args.b.exists(x, x == 1)',
        'args.c.matches("^u")',
        'size(args.a) > 1',
      ],
      ...[
        'time.getHours("Europe/Berlin") == 15',
        'args.a / args.b > 0.0',
        'args.a.contains(args.b)',
        'time.getDayOfYear() > 3',
      ],
    );
    const expression = fc
      .tuple(fc.oneof(comparison, special), fc.constantFrom('&&', '||'), fc.oneof(comparison, special))
      .map(([left, sign, right]) => `${left} ${sign} !(${right})`);
    await fc.assert(
      fc.asyncProperty(fc.array(expression, { maxLength: 4 }), args, async (expressions, given) => {
        const conditions = named(...expressions);
        const subject = { args: given, agent: 'agent', tool: 'tool', time, spendUsd: 2.5 };
        expect((await judge.said('tenant', considered(conditions, given))).found).toEqual(
          findings(conditions, subject),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('is right for a pattern over a long list, and for one that is none', async () => {
    const to = some.map((n) => `u${n}@a.com`);
    const found = await ask(
      ['args.to.all(t, t.matches("^[a-z]+[0-9]+@"))', 'args.to[0].matches("^@")', 'args.to[0].matches("(")'],
      { to },
    );
    expect(found).toEqual([
      { name: 'c0', holds: true },
      { name: 'c1', holds: false },
      { name: 'c2', holds: false, error: expect.stringContaining('missing closing )') },
    ]);
  });

  test('is right for long lists, and for fifty conditions that it has never seen', async () => {
    const items = some.map((price) => ({ price }));
    expect(await ask(['args.items.all(i, i.price < 5000)', 'args.items.all(i, i.price > 0)'], { items })).toEqual([
      { name: 'c0', holds: true },
      { name: 'c1', holds: false },
    ]);
    const long = (n: number) => `${'args.n == 1.0 || '.repeat(40)}args.n < ${n}.0`;
    const found = await ask(
      Array.from({ length: 50 }, (_, n) => long(n + 10)),
      { n: 5 },
    );
    expect(found.map(({ holds }) => holds)).toEqual(Array(50).fill(true));
  });
});

describe('a deadline', () => {
  test.each([
    ['many patterns', 'args.many.all(x, "a".matches("(a?){500}(" + string(x) + ")?"))', {}],
    [
      'patterns out of the arguments',
      'args.many.all(x, args.text.matches(args.pattern + "(" + string(x) + ")?"))',
      large,
    ],
    ['zones', 'args.many.all(x, time.getHours("Europe/Berlin") < 99 && time.getHours("Asia/Tokyo") < 99)', {}],
    ['macros in macros', slow, {}],
    ['lists that are put together', 'size(args.many.map(x, args.many.map(y, [x] + [y]))) > 0', {}],
    [
      'many different zones',
      'args.zones.all(z, args.many.all(x, time.getHours(z) < 99))',
      { zones: ['UTC', 'Asia/Tokyo'] },
    ],
    ['texts', 'args.many.all(x, size(args.text + args.text) > 0)', { text: 'x'.repeat(250_000) }],
  ])('ends %s, and what cannot be judged in time does not hold', async (_, expression, args) => {
    const found = await ask(['args.n == 1', 'args.n == 2', expression, 'true'], { n: 1, many, ...args });
    expect(found).toEqual([
      { name: 'c0', holds: true },
      { name: 'c1', holds: false },
      { name: 'c2', ...late },
      { name: 'c3', holds: false, gaveUp: true, error: 'not evaluated: another was given up' },
    ]);
    expect(outcomes.at(-1)).toBe('gave_up');
  });

  test.each([
    ['texts', doubled('args.text', 6)],
    ['bytes', doubled('bytes(args.text)', 6)],
    ['copies of bytes', 'args.many.map(x, bytes(args.text))'],
    ['lists in lists', 'args.many.map(x, args.many.map(y, {"a": [y, x]}))'],
  ])('ends what would take all memory by %s, and the process lives', async (_, value) => {
    const found = await ask([`size(${value}) > 0`], { many, text: 'x'.repeat(250_000) });
    expect(found).toEqual([expect.objectContaining({ holds: false, error: expect.any(String) })]);
  });

  test('covers all conditions of a call together', async () => {
    const each = 'args.many.all(x, args.many.exists(y, y == x || y > 5))';
    const found = await ask(
      Array.from({ length: 45 }, (_, n) => `${each} && ${n} < 50`),
      { many },
    );
    expect(found.some(({ gaveUp }) => gaveUp)).toBe(true);
  });

  test('is of one call also where many are judged together', async () => {
    const conditions = named('size(args.n) == 0 || args.n.all(x, args.n.all(y, x + y >= 0.0))');
    const calls = Array.from({ length: 45 }, (_, n) => considered(conditions, { n: n === 30 ? many : [] }));
    const found = [];
    for await (const one of judge.saidEach('tenant', calls)) found.push(one.found);
    expect(found.map(([one]) => one?.holds)).toEqual(calls.map((_, n) => n !== 30));
  });
});

describe('tenants', () => {
  test('take turns: one with slow conditions does not hold up another', async () => {
    let outstanding = 20;
    const attacks = Array.from({ length: outstanding }, async () => {
      await ask([slow], { many }, 'attacker');
      outstanding -= 1;
    });
    for (let n = 0; n < 20; n += 1)
      expect(await ask(['args.n == 1'], { n: 1 }, 'neighbour')).toMatchObject([{ holds: true }]);
    expect(outstanding).toBeGreaterThan(0);
    await Promise.all(attacks);
  });

  test('with too much waiting are refused, and nobody else is', async () => {
    const asked = Array.from({ length: 400 }, () =>
      ask(['true'], {}, 'busy').then(
        () => 'judged',
        (error: Error) => error.message,
      ),
    );
    expect(await ask(['true'], {}, 'other')).toMatchObject([{ holds: true }]);
    const told = await Promise.all(asked);
    expect(told.filter((one) => one === 'judged').length).toBeGreaterThanOrEqual(256);
    expect(new Set(told)).toEqual(new Set(['judged', 'unavailable']));
  });
});

describe('an expression', () => {
  test('is checked in its turn, with the place of its fault', async () => {
    expect(await judge.fault('tenant', 'args.n == 1')).toBeUndefined();
    expect(await judge.fault('tenant', 'args.n + 1 < 3')).toMatchObject({ kind: 'cel_type', position: { column: 8 } });
  });
});

test('a thread that dies is replaced, and its job is not held to be met', async () => {
  const threads = createThreads(new URL('./dying-thread.mjs', import.meta.url));
  const check = (expression: string) => threads.ask('tenant', { kind: 'check', expression });
  for (const how of ['memory', 'exit']) {
    expect((await check(how)).kind).toBe('gaveUp');
    expect((await check('fine')).kind).toBe('checked');
  }
  threads.close();
  await expect(check('fine')).rejects.toMatchObject({ code: 'unavailable' });
});

test('a thread that cannot be started is told, and tried again', async () => {
  const threads = createThreads(new URL('./no-thread.mjs', import.meta.url));
  for (let n = 0; n < 2; n += 1)
    await expect(threads.ask('tenant', { kind: 'check', expression: 'true' })).rejects.toMatchObject({
      code: 'unavailable',
    });
  threads.close();
});
