import { describe, expect, test } from 'vitest';
import { asCsv, asNdjson } from '../../src/api/formats.ts';

interface Line {
  readonly name: string | null;
  readonly count: number | null;
}

async function* pages(...all: Line[][]): AsyncGenerator<Line[]> {
  yield* all;
}
async function whole(chunks: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk;
  return text;
}
const csv = async (name: string) =>
  (await whole(asCsv(['name'], pages([{ name, count: 1 }])))).slice('name\r\n'.length);

describe('CSV', () => {
  test('has a header, the columns in their order, and nothing for null', async () => {
    const lines = pages([{ name: 'a', count: 0.5 }], [], [{ name: null, count: null }]);
    expect(await whole(asCsv(['count', 'name'], lines))).toBe('count,name\r\n0.5,a\r\n,\r\n');
    expect(await whole(asCsv<Line>(['name'], pages()))).toBe('name\r\n');
  });

  test.each([
    ['plain text', 'plain text'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['two\r\nlines', '"two\r\nlines"'],
    ['umlaut ü', 'umlaut ü'],
  ])('quotes %j as RFC 4180 says', async (name, field) => {
    expect(await csv(name)).toBe(`${field}\r\n`);
  });

  test.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '=HYPERLINK("http://evil","x")'])(
    'leaves no formula to run of %j',
    async (name) => {
      expect(await csv(name)).toMatch(/^"?'/);
    },
  );
});

test('NDJSON is one item a line, exactly as it is', async () => {
  const lines = [
    { name: '=1\n"', count: 1 },
    { name: null, count: null },
  ];
  const text = await whole(asNdjson(pages(lines, [])));
  expect(text.split('\n')).toHaveLength(3);
  expect(
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual(lines);
});
