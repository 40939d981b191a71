import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isExact, mayHoldInexact } from '../../src/domain/exact-number.ts';

describe('a number that a double holds', () => {
  test.each([
    ...['0', '-0', '0.0', '-0.000', '0e999', '0E-999', '1', '-1', '0.1', '1.0', '1.50', '1E5', '1e+2', '12.5e-3'],
    ...['9007199254740991', '-9007199254740991', '9007199254740991.0', '9.007199254740991e15', '900719925474099100e-2'],
    ...[
      '0.30000000000000004',
      '1e-7',
      '0.00000010',
      '5e-324',
      '2.2250738585072014e-308',
      '1000000e-6',
      '99999999999999.98',
    ],
    `${'0.'.padEnd(400, '0')}1e398`,
  ])('%s', (text) => expect([isExact(text), isExact(text.replace('e', 'E'))]).toEqual([true, true]));
});

describe('a number that it does not hold', () => {
  test.each([
    ...[
      '1e400',
      '-1e400',
      '1e-400',
      '1915883588174806058',
      '100000000000000.01',
      '9007199254740993',
      '0.1000000000000000001',
    ],
    ...[
      '9007199254740992',
      '-9007199254740992',
      '9007199254740992.0',
      '9007199254740992e0',
      '1e16',
      '1e300',
      '-1.5e20',
    ],
    ...[
      '9007199254740991.2',
      '9007199254740991.5',
      '0.30000000000000005',
      '4e-324',
      '123456789012345e-330',
      '2.50000000000000001',
    ],
    `1e${'9'.repeat(400)}`,
    `1e-${'9'.repeat(400)}`,
    `1${'0'.repeat(400)}`,
    `0.${'1'.repeat(400)}`,
  ])('%s', (text) => expect(isExact(text)).toBe(false));

  test('may have a million digits', () => {
    expect(isExact(`0.${'0'.repeat(1_000_000)}1`)).toBe(false);
    expect(isExact(`1.${'0'.repeat(1_000_000)}`)).toBe(true);
  });
});

const digits = (maxLength: number) => fc.string({ unit: fc.constantFrom(...'00123456789'), minLength: 1, maxLength });
/** Any number of JSON, near the borders more often than far from them. */
const anyNumber = fc
  .record({
    sign: fc.constantFrom('', '-'),
    whole: fc.oneof(digits(20), fc.constantFrom('9007199254740991', '9007199254740992', '0')),
    fraction: fc.option(digits(25), { nil: '' }),
    exponent: fc.option(fc.oneof(fc.integer({ min: -25, max: 25 }), fc.integer({ min: -360, max: 330 })), {
      nil: null,
    }),
    e: fc.constantFrom('e', 'E'),
    plus: fc.constantFrom('', '+'),
  })
  .map(({ sign, whole, fraction, exponent, e, plus }) => {
    const power = exponent === null ? '' : `${e}${exponent < 0 ? '' : plus}${exponent}`;
    return `${sign}${whole.replace(/^0+(?=\d)/, '')}${fraction && `.${fraction}`}${power}`;
  });
const anyDouble = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: -1e17, max: 1e17, noNaN: true }),
);

/** A number as a fraction of whole numbers, read by another way than the rule reads it. */
function fractionOf(text: string): [bigint, bigint] {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e(.+))?$/i.exec(text) ?? [];
  const power = Number(exponent) - fraction.length;
  const amount = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n);
  return power < 0 ? [amount, 10n ** BigInt(-power)] : [amount * 10n ** BigInt(power), 1n];
}

function isExactByFractions(text: string): boolean {
  const double = Number(text);
  if (!Number.isFinite(double)) return false;
  const [[a, b], [c, d]] = [fractionOf(text), fractionOf(JSON.stringify(double))];
  const beyond = a % b === 0n && (a / b > 2n ** 53n - 1n || a / b < 1n - 2n ** 53n);
  return !beyond && a * d === c * b;
}

const holds = (property: Parameters<typeof fc.assert>[0]) => fc.assert(property, { numRuns: 5_000 });

describe('whatever the number', () => {
  test('the rule is what fractions say', () => {
    holds(fc.property(anyNumber, (text) => isExact(text) === isExactByFractions(text)));
    holds(fc.property(anyDouble.map(JSON.stringify), (text) => isExact(text) === isExactByFractions(text)));
  });

  test('what is exact is the same amount once it was read and written, and exact again', () => {
    holds(
      fc.property(fc.oneof(anyNumber, anyDouble.map(JSON.stringify)), (text) => {
        fc.pre(isExact(text));
        const written = JSON.stringify(JSON.parse(text));
        const [[a, b], [c, d]] = [fractionOf(text), fractionOf(written)];
        return a * d === c * b && isExact(written);
      }),
    );
  });

  test('the same amount written otherwise is as exact', () => {
    holds(
      fc.property(anyNumber, fc.nat(30), (text, shift) => {
        const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e');
        const longer = mantissa.includes('.') ? `${mantissa}0` : `${mantissa}.0`;
        const moved = mantissa.includes('.') ? mantissa : mantissa + '0'.repeat(shift);
        const ways = [`${longer}e${exponent}`, `${moved}e${Number(exponent) - (moved.length - mantissa.length)}`];
        return ways.every((way) => isExact(way) === isExact(text));
      }),
    );
  });

  test('the scan of a text overlooks none', () => {
    const spaces = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 2 });
    holds(
      fc.property(anyNumber, spaces, (text, space) => {
        const texts = [
          `${space}${text}`,
          `[${space}${text}]`,
          `{"a":${space}${text}${space}}`,
          `[1${space},${space}${text}]`,
        ];
        return isExact(text) || texts.every(mayHoldInexact);
      }),
    );
  });

  test('the scan finds one wherever it stands, and whatever digits stand before it', () => {
    const numbers = ['1234567890123456', '-0.123456789012345', '1e5'];
    for (let before = 0; before < 40; before += 1) {
      for (const digits of ['', `"${'7'.repeat(before)}",`, `${'7'.repeat(before % 15)}1,`]) {
        const missed = numbers.filter((number) => !mayHoldInexact(`["${'x'.repeat(before)}",${digits}${number}]`));
        expect(missed).toEqual([]);
      }
    }
  });

  test.each([
    '{"id":"1915883588174806058","at":"2026-01-01T00:00:00Z","n":123456789012345,"x":0.1,"sum":-12.50}',
    '{"id":"550e8400-e29b-41d4-a716-446655440000","hash":"12e4567890123456789"}',
    '[0,-1,1.5,[99999.99]]',
  ])('the scan lets the ordinary pass: %s', (json) => expect(mayHoldInexact(json)).toBe(false));
});
