import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readExactly } from '../../src/domain/exact-json.ts';

describe('what is kept exactly is read as JSON.parse reads it', () => {
  test.each([
    '0',
    'null',
    '"a\\"b: c"',
    '{}',
    '[]',
    ' {"a" : {"a": [{"a": 1}, {"a": 2}]}, "b" :"x : \\" : " }\n',
    '{"amount":100.10,"exp":1.5e3,"neg":-0,"zero":0.0,"max":9007199254740991,"min":-9007199254740991}',
    '{"a":0.1,"b":0.30000000000000004,"c":1E+2,"d":123456789012.345}',
    '{"text":"\\\\u0000 and 1e400, 12345678901234567890, __proto","pair":"\\ud83d\\ude42"}',
    '{"constructor":1,"toString":2,"__proto":3,"proto__":4}',
    `${'['.repeat(101)}${']'.repeat(101)}`,
  ])('%s', (text) => {
    expect(readExactly(text)).toEqual({ kind: 'read', value: JSON.parse(text) });
  });
});

describe('what is not is refused, with the place', () => {
  test.each<[string, ReadonlyArray<string | number>, number]>([
    ['{"amount":1e400}', ['amount'], 10],
    ['{"args":{"lines":[{"usd":1},{"usd":0.100000000000000001}]}}', ['args', 'lines', 1, 'usd'], 35],
    ['[100000000000000.01]', [0], 1],
    ['[1,9007199254740993]', [1], 3],
    ['[9007199254740992]', [0], 1],
    ['[1e22]', [0], 1],
    ['[-1e-400]', [0], 1],
    ['{"a":1,"a":1}', ['a'], 7],
    ['{"a":1,"b":{"c":1,"\\u0063":2}}', ['b', 'c'], 18],
    ['{"a":{"__proto__":null}}', ['a', '__proto__'], 6],
    ['{"__pr\\u006fto__":1}', ['__proto__'], 1],
    ['{"a\\u0000b":1}', ['a\0b'], 1],
    ['{"a":"\\u0000"}', ['a'], 5],
    ['["\\ud800"]', [0], 1],
    ['{"\\udc00":1}', ['\udc00'], 1],
    ['{not json', [], 1],
    ['{"a":NaN}', [], 5],
    ['{"a":1,}', [], 7],
    ['[1] // no', [], 4],
    ['', [], 0],
  ])('%s', (text, path, position) => {
    expect(readExactly(text)).toMatchObject({ kind: 'unreadable', path, position, why: expect.any(String) });
  });

  test('however deep it is', () => {
    const deep = (levels: number) => readExactly(`${'[{"a":'.repeat(levels)}1${'}]'.repeat(levels)}`);
    expect(deep(50).kind).toBe('read');
    expect(deep(51)).toMatchObject({ kind: 'unreadable', position: 6 * 50 + 1 });
    expect(deep(100_000).kind).toBe('unreadable');
    expect(readExactly('['.repeat(200_000)).kind).toBe('unreadable');
  });
});

/** JSON as it is written, and whether it may be read. */
interface Written {
  readonly text: string;
  readonly sound: boolean;
}

const space = fc.constantFrom('', '', ' ', '\n\t', '  ');
const numbers = fc.oneof(
  fc
    .double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 })
    .map((n) => ({ text: String(n), sound: true })),
  fc.bigInt({ min: 2n ** 53n }).map((n) => ({ text: String(n), sound: false })),
  fc.integer({ min: 17, max: 30 }).map((digits) => ({ text: `0.${'1'.repeat(digits + 4)}`, sound: false })),
  fc.constantFrom({ text: '1e309', sound: false }, { text: '2.50E2', sound: true }, { text: '-0.0', sound: true }),
);
const texts = fc.oneof(
  fc.string({ unit: 'grapheme' }).map((text) => ({ text: JSON.stringify(text), sound: !text.includes('\0') })),
  fc.constantFrom(
    { text: '": : \\" :"'.slice(1), sound: false },
    { text: '"a\\u0000"', sound: false },
    { text: '"\\ud800"', sound: false },
    { text: '"\\ud83d\\ude42 : \\": "', sound: true },
    { text: '"\\u0070"', sound: true },
  ),
);
const names = fc.constantFrom('a', 'b', 'c', 'd', '__proto__', 'constructor', 'x:y', ' : ');

const { value } = fc.letrec<{ value: Written }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Written>({ text: 'true', sound: true }, { text: 'null', sound: true }),
    numbers,
    texts,
    fc.tuple(fc.array(tie('value'), { maxLength: 4 }), space).map(([items, gap]) => ({
      text: `[${gap}${items.map(({ text }) => text).join(`${gap},`)}]`,
      sound: items.every(({ sound }) => sound),
    })),
    fc.tuple(fc.array(fc.tuple(names, tie('value')), { maxLength: 4 }), space).map(([members, gap]) => ({
      text: `{${gap}${members.map(([name, { text }]) => `${JSON.stringify(name)}${gap}:${gap}${text}`).join(',')}${gap}}`,
      sound:
        members.every(([name, { sound }]) => sound && name !== '__proto__') &&
        new Set(members.map(([name]) => name)).size === members.length,
    })),
  ),
}));

test('whatever is written, it is read if and only if nothing of it would be lost', () => {
  fc.assert(
    fc.property(value, ({ text, sound }) => {
      const reading = readExactly(text);
      expect(reading.kind === 'read').toBe(sound);
      if (reading.kind === 'read') expect(reading.value).toEqual(JSON.parse(text));
    }),
    { numRuns: 3_000 },
  );
});

test('any text at all is read or refused, and never thrown at', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(['read', 'unreadable']).toContain(readExactly(text).kind);
    }),
  );
});
