import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AnswerBody, retryAfterSeconds } from '../../src/dispatch/body.ts';
import { mayHoldInexact } from '../../src/domain/exact-number.ts';

const MIB = 1024 * 1024;

function read(bytes: string | Buffer, success = true): unknown {
  const body = new AnswerBody(success);
  body.add(Buffer.from(bytes as string));
  return body.read();
}

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('the body of an answer', () => {
  test.each<[string, string | Buffer, unknown]>([
    ['an object is the body', '{"charge_id":"ch_1","n":[1]}', { charge_id: 'ch_1', n: [1] }],
    ['nothing is an empty object', '', {}],
    ['a list is wrapped', '[1,2]', { value: [1, 2] }],
    ['a number is wrapped', '7', { value: 7 }],
    ['null is wrapped', 'null', { value: null }],
    ['text is wrapped', 'done', { value: 'done' }],
    ['half a JSON is text', '{"a":', { value: '{"a":' }],
    ['a byte order mark goes', '\ufeff{"a":1}', { a: 1 }],
    ['invalid UTF-8 is replaced', Buffer.from([0x61, 0xff, 0xfe]), { value: 'a\ufffd\ufffd' }],
    ['a raw NUL is replaced', 'a\0b', { value: 'a\ufffdb' }],
    ['an escaped NUL is replaced, in names too', '{"a\\u0000":"\\u0000"}', { 'a\ufffd': '\ufffd' }],
    ['a lone surrogate is replaced', '["\\ud800x","\\uD83D\\uDE00"]', { value: ['\ufffdx', '😀'] }],
  ])('%s', (_, bytes, expected) => expect(read(bytes)).toEqual(expected));

  test('a name that is special to JavaScript is only a name', () => {
    const body = read('{"__proto__":{"admin":true},"x":"\\u0000"}');
    expect(Object.entries(body as object)).toEqual([
      ['__proto__', { admin: true }],
      ['x', '\ufffd'],
    ]);
    expect((body as { admin?: boolean }).admin).toBeUndefined();
  });

  test.each([
    ['{"charge_id":1915883588174806058}', { charge_id: '1915883588174806058' }],
    ['[1e400,-1e400,1e-400,100000000000000.01]', { value: ['1e400', '-1e400', '1e-400', '100000000000000.01'] }],
    ['[0.1,1.0,1E5,9007199254740991,9007199254740993]', { value: [0.1, 1, 100_000, 2 ** 53 - 1, '9007199254740993'] }],
    ['-9007199254740993', { value: '-9007199254740993' }],
    ['[-0,9007199254740993]', { value: [-0, '9007199254740993'] }],
    ['{"a":{"b":[{"c": 1E16 }]}}', { a: { b: [{ c: '1E16' }] } }],
    ['{"a":1915883588174806058,"a":"last"}', { a: 'last' }],
    ['{"a":"first","b":2,"a":1915883588174806058}', { a: '1915883588174806058', b: 2 }],
    [
      '{"9007199254740993":"9007199254740993","n":9007199254740993}',
      { '9007199254740993': '9007199254740993', n: '9007199254740993' },
    ],
    ['{"\\u0000":"\\ud800","n":9007199254740993}', { '\ufffd': '\ufffd', n: '9007199254740993' }],
    ['{"n":9007199254740993', { value: '{"n":9007199254740993' }],
    ['[9007199254740993,01]', { value: '[9007199254740993,01]' }],
  ])('a number that JavaScript cannot hold is the text of its digits: %s', (text, expected) => {
    expect(read(text)).toStrictEqual(expected);
    expect(read(text, false)).toStrictEqual(expected);
  });

  test('beside such a number everything is read as it is without', () => {
    const numberless = fc.json({ stringUnit: 'binary' }).filter((json) => !mayHoldInexact(json));
    fc.assert(
      fc.property(numberless, (json) => {
        const [{ a: alone }, { a: beside }] = [read(`{"a":${json}}`), read(`{"n":9007199254740993,"a":${json}}`)] as [
          Record<string, unknown>,
          Record<string, unknown>,
        ];
        expect(beside).toStrictEqual(alone);
      }),
    );
  });

  test('beside such a number, too, special names are only names', () => {
    const body = read('{"__proto__":{"admin":true},"constructor":1,"__proto__":{"n":9007199254740993}}');
    expect(Object.entries(body as object)).toEqual([
      ['__proto__', { n: '9007199254740993' }],
      ['constructor', 1],
    ]);
    expect((body as { n?: string }).n).toBeUndefined();
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  test('beside such a number, too, JSON deeper than 100 levels is text', () => {
    const deep = (levels: number) => `${'['.repeat(levels)}9007199254740993${']'.repeat(levels)}`;
    expect(JSON.stringify(read(deep(100)))).toBe(`{"value":${deep(100).replace('9007199254740993', '"$&"')}}`);
    expect(read(deep(101))).toEqual({ value: deep(101) });
    expect(read(deep(500_000))).toEqual({ value: deep(500_000) });
    expect(read('['.repeat(MIB - 20))).toEqual({ value: '['.repeat(MIB - 20) });
  });

  test('what a later member of the same name replaces may be as deep as it likes', () => {
    const replaced = (levels: number) => `{"a":${nested(levels)},"a":9007199254740993}`;
    expect(read(replaced(200))).toEqual({ a: '9007199254740993' });
    expect(read(replaced(400_000))).toEqual({ value: replaced(400_000) });
  });

  test('JSON up to 100 levels is read, deeper is text', () => {
    expect(read(nested(100))).toEqual({ value: JSON.parse(nested(100)) });
    expect(read(nested(101))).toEqual({ value: nested(101) });
    expect(read(nested(200_000))).toEqual({ value: nested(200_000) });
  });

  test('1 MiB is kept, one byte more is counted and hashed', () => {
    expect(read('x'.repeat(MIB))).toEqual({ value: 'x'.repeat(MIB) });
    const sha256 = createHash('sha256')
      .update('x'.repeat(MIB + 1))
      .digest('hex');
    expect(read('x'.repeat(MIB + 1))).toEqual({ truncated: true, bytes: MIB + 1, sha256 });
  });

  test('of a failure 64 KiB are kept, and more are not waited for', () => {
    const body = new AnswerBody(false);
    expect(body.add(Buffer.alloc(65_536, 'x'))).toBe(false);
    expect(body.add(Buffer.from('y'))).toBe(true);
    expect(body.read()).toEqual({ value: 'x'.repeat(65_536), truncated: true });
  });

  test('does not depend on how it was cut', () => {
    const content = Buffer.from(JSON.stringify({ text: 'größer 😀'.repeat(10) }));
    fc.assert(
      fc.property(fc.array(fc.nat(content.length)), (places) => {
        const body = new AnswerBody(true);
        const cuts = [0, ...places.sort((a, b) => a - b), content.length];
        for (const [i, start] of cuts.slice(0, -1).entries()) body.add(content.subarray(start, cuts[i + 1]));
        expect(body.read()).toEqual(JSON.parse(content.toString()));
      }),
    );
  });

  test('whatever the bytes are, it can be stored as JSON in PostgreSQL', () => {
    const bytes = fc.oneof(
      fc.uint8Array().map((array) => Buffer.from(array)),
      fc.json({ stringUnit: 'binary' }).map((json) => Buffer.from(json)),
      fc.string().map((text) => Buffer.from(JSON.stringify({ a: `\0${text}\ud800` }))),
    );
    fc.assert(
      fc.property(bytes, fc.boolean(), (content, success) => {
        const stored = JSON.stringify(read(content, success));
        return !/\\u0000|\\ud[89a-f]/i.test(stored.replaceAll('\\\\', ''));
      }),
    );
  });
});

describe('Retry-After', () => {
  const now = Date.parse('1994-11-06T08:49:00Z');
  test.each([
    ['7', 7],
    [' 0 ', 0],
    ['99999999', 99_999_999],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 37],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 37],
    ['Sun Nov  6 08:49:37 1994', 37],
    ['Sun, 06 Nov 1994 08:00:00 GMT', 0],
  ])('%j is %d s', (header, seconds) => expect(retryAfterSeconds(header, now)).toBe(seconds));

  test.each(['', '-5', '1.5', '7s', 'soon', 'Sun, soon', '9'.repeat(400)])('%j is not understood', (header) =>
    expect(retryAfterSeconds(header, now)).toBeUndefined(),
  );

  test('absent is absent, twice is the first', () => {
    expect(retryAfterSeconds(undefined, now)).toBeUndefined();
    expect(retryAfterSeconds(['3', '9'], now)).toBe(3);
  });
});
