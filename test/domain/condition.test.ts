import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile, findings } from '../../src/domain/condition/condition.ts';
import { ConditionError } from '../../src/domain/condition/expression.ts';
import { conditionsFor, type Finding, type Subject } from '../../src/domain/condition/finding.ts';
import { containsText } from '../../src/domain/condition/text-functions.ts';

const subject: Subject = {
  args: {
    amount: 50,
    currency: 'usd',
    to: 'a@example.com',
    items: [{ price: 1 }, { price: 2 }],
    note: null,
    urgent: true,
  },
  agent: 'billing-agent',
  tool: 'stripe.charge',
  spendUsd: 2.5,
  time: new Date('2026-11-24T14:30:00Z'),
};
const ask = (expression: string, on: Subject = subject) => findings([{ name: 'it', expression }], on)[0] as Finding;
const faultOf = (expression: string): ConditionError => {
  try {
    compile(expression);
  } catch (error) {
    if (error instanceof ConditionError) return error;
    throw error;
  }
  throw new Error(`${expression} is fine`);
};

describe('a condition', () => {
  test.each([
    ['args.amount <= 100', true],
    ['args.amount + 1.0 < 51', false],
    ['args.amount == 50', true],
    ['args.currency in ["usd", "eur"]', true],
    ['args.to.endsWith("@example.com") && args.to.matches("^[a-z]@")', true],
    ['args.items.all(item, item.price > 0)', true],
    ['args.items.exists_one(item, item.price == 2.0)', true],
    ['size(args.items.filter(item, item.price > 1)) == 1', true],
    ['args.items.map(item, item.price) == [1.0, 2.0]', true],
    ['!has(args.discount) || args.discount < 10', true],
    ['args.note == null', true],
    ['args.urgent', true],
    ['agent.startsWith("billing") && tool == "stripe.charge"', true],
    ['spend_usd <= 3', true],
    ['time.getHours("UTC") >= 9 && time.getHours("UTC") < 17', true],
    ['time.getDayOfWeek() in [0, 6]', false],
    ['time < timestamp("2027-01-01T00:00:00Z")', true],
    ['time - timestamp("2026-11-24T14:00:00Z") == duration("30m")', true],
    ['args["amount"] > 10.0 ? agent != "" : false', true],
    ['type(args.amount) == double', true],
  ])('%s is %s', (expression, holds) => {
    compile(expression);
    expect(ask(expression)).toEqual({ name: 'it', holds });
  });

  test.each([
    ['args.missing == 1', /missing/],
    ['args.currency > 5', /overload/],
    ['args.amount', /neither true nor false/],
    ['args.items[9].price > 1', /index/],
  ])('%s cannot be evaluated over these arguments, which is no yes', (expression, error) => {
    compile(expression);
    expect(ask(expression)).toEqual({ name: 'it', holds: false, error: expect.stringMatching(error) });
  });

  test('is about the tools it names, or about all', () => {
    const conditions = [
      { name: 'other', expression: 'false', tools: ['other.tool'] },
      { name: 'mine', expression: 'true', tools: ['stripe.charge'] },
      { name: 'all', expression: 'true' },
    ];
    expect(conditionsFor(conditions, subject.tool).map(({ name }) => name)).toEqual(['mine', 'all']);
  });
});

test('why it could not be evaluated is told without repeating long arguments', () => {
  const { error = '' } = ask('time.getHours(args.zone) > 1', { ...subject, args: { zone: 'x'.repeat(10_000) } });
  expect(error).toMatch(/^Invalid time zone/);
  expect(error.length).toBeLessThan(1_000);
});

test('lists that are put together are what they would be in one piece, and stay what they were', () => {
  const list = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 90 });
  fc.assert(
    fc.property(list, list, fc.array(list, { maxLength: 3 }), (a, b, more) => {
      const args = { a, b, c: more.flat(), ab: [...a, ...b], all: [...a, ...b, ...more.flat(), ...a] };
      for (const expression of [
        'args.a + args.b == args.ab',
        'args.a + args.b + args.c + args.a == args.all',
        'args.ab.map(x, x) == args.ab && args.all.filter(x, true) == args.all',
        '[args.a + args.b].all(ab, ab + args.c + args.a == args.all && ab + [1.0] != ab && ab == args.ab)',
      ])
        expect(ask(expression, { ...subject, args })).toEqual({ name: 'it', holds: true });
    }),
  );
});

describe('a broken condition is found where it breaks', () => {
  test.each<[string, ConditionError['kind'], number, number]>([
    ['args.amount <', 'cel_syntax', 1, 13],
    ['', 'cel_syntax', 1, 1],
    ['args.amount < 5 and true', 'cel_syntax', 1, 17],
    ['true &&\n  nobody == 1', 'cel_type', 2, 3],
    ['args.amount + 1 < 5', 'cel_type', 1, 13],
    ['spend_usd', 'cel_type', 1, 1],
    ['agent > 5', 'cel_type', 1, 7],
    ['agent.shout() == "A"', 'cel_type', 1, 6],
    ['agent.items == 1', 'cel_type', 1, 6],
    ['args.items.all(x, x.price + "1" == y)', 'cel_type', 1, 36],
    ['agent.all(x, true)', 'cel_type', 1, 1],
    ['time.getHours(5) == 1', 'cel_type', 1, 5],
    ['google.protobuf.Timestamp{seconds: 1} == time', 'cel_type', 1, 1],
  ])('%s', (expression, kind, line, column) => {
    expect(faultOf(expression)).toMatchObject({ kind, position: { line, column } });
  });

  test('says how to write numbers, since those of JSON are doubles', () => {
    expect(faultOf('args.amount * 2 < 5').message).toContain('write 1.0 for 1');
  });

  test('also where its brackets would exhaust the parser', () => {
    expect(faultOf(`${'('.repeat(511)}1${')'.repeat(511)}`)).toBeInstanceOf(ConditionError);
  });

  test('whatever is written, it is compiled or refused with a place within it', () => {
    const word = fc.constantFrom(
      'args',
      '.',
      'a',
      '(',
      ')',
      '[',
      ']',
      '==',
      '&&',
      '1',
      '"x"',
      ' ',
      '\n',
      'has',
      ',',
      '!',
      '?',
    );
    const texts = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.array(word, { maxLength: 30 }).map((words) => words.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          compile(text);
        } catch (error) {
          if (!(error instanceof ConditionError)) throw error;
          expect(error.position.offset).toBeGreaterThanOrEqual(0);
          expect(error.position.offset).toBeLessThanOrEqual(text.length);
        }
      }),
    );
  });
});

describe('what a condition may cost is bounded', () => {
  const nested = 'args.a.all(x, args.a.all(y, args.a.all(z, x == y && y == z)))';

  test('when it is stored', () => {
    expect(faultOf(nested).kind).toBe('cel_cost');
    expect(faultOf(Array(200).fill('true').join(' && ')).kind).toBe('cel_cost');
  });

  test('not by the size of the arguments, which only time tells about', () => {
    const items = Array.from({ length: 5_000 }, (_, price) => ({ price }));
    const args = { items };
    expect(ask('args.items.all(item, item.price >= 0)', { ...subject, args }).holds).toBe(true);
    expect(ask('args.items.all(item, item.price < 4999)', { ...subject, args }).holds).toBe(false);
  });

  test('nor by lists of some thousand elements that macros make', () => {
    const args = { items: Array.from({ length: 5_000 }, (_, price) => ({ price })) };
    for (const expression of [
      'args.items.map(item, item.price).exists(price, price == 4999.0)',
      'args.items.filter(item, item.price > 0).filter(item, item.price < 4999).size() == 4998',
      'args.items.map(item, item.price)[4321] == 4321.0',
      '(args.items + [args.items[0]] + args.items).size() == 10001',
    ])
      expect(ask(expression, { ...subject, args })).toEqual({ name: 'it', holds: true });
  });

  test('by the length of the texts it makes, and the memory with them', () => {
    const double = (text: string) => `[${text}].map(t, t + t + t + t)[0]`;
    const long = Array.from({ length: 12 }).reduce<string>(double, 'args.to');
    expect(ask(`size(${long}) > 0`)).toMatchObject({ holds: false, error: expect.stringContaining('at most 1048576') });
  });

  test('by a search that takes no longer than both texts are', () => {
    const part = fc.array(fc.constantFrom('a', 'b'), { maxLength: 1_500 }).map((letters) => letters.join(''));
    fc.assert(
      fc.property(part, part, fc.array(part, { maxLength: 4 }), (one, other, more) => {
        const text = [one.repeat(8), other, ...more].join('');
        for (const wanted of [other, `${other}b`, text.slice(500, 2_500)])
          expect(containsText(text, wanted)).toBe(text.includes(wanted));
      }),
      { numRuns: 50 },
    );
    const [text, wanted] = ['a'.repeat(200_000), `${'a'.repeat(20_000)}b${'a'.repeat(20_000)}`];
    expect(containsText(text, wanted)).toBe(false);
    expect(containsText(text + wanted, wanted)).toBe(true);
  });
});
