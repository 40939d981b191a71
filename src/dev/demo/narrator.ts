import { inspect, isDeepStrictEqual, styleText } from 'node:util';

/** The story went otherwise than it has to; the message says where. */
export class Unexpected extends Error {
  override name = 'Unexpected';
}

export type Narrator = ReturnType<typeof createNarrator>;

const narrowest = 18;

/** Tells the story line by line, and holds the product to it. */
export function createNarrator(write: (line: string) => void, colored: boolean) {
  const paint = (style: Parameters<typeof styleText>[0], text: string) => (colored ? styleText(style, text) : text);
  let chapters = 0;
  let checks = 0;

  return {
    /** How many expectations held so far. */
    checks: () => checks,

    line: (text = '') => write(text),

    /** What happens behind the scene. */
    aside: (text: string) => write(paint('dim', `  ${text}`)),

    heading: (text: string) => write(paint('bold', text)),

    chapter(title: string): void {
      chapters += 1;
      write('');
      write(paint('bold', `${chapters}. ${title}`));
    },

    asks: (who: string, request: string, meaning: string) =>
      write(`  ${paint('cyan', who.padEnd(narrowest))} → ${request}  ${paint('dim', meaning)}`),

    hears: (who: string, answer: string) => write(`  ${paint('cyan', who.padEnd(narrowest))} ← ${answer}`),

    /**
     * Compares what the product did with what it has to do.
     *
     * @throws {Unexpected} when they differ.
     */
    expect(claim: string, seen: unknown, expected: unknown): void {
      if (!isDeepStrictEqual(seen, expected)) {
        write(paint('red', `  ✗ ${claim}`));
        throw new Unexpected(`Not so: ${claim}\n  expected ${brief(expected)}\n  seen     ${brief(seen)}`);
      }
      checks += 1;
      write(`  ${paint('green', '✓')} ${claim}`);
    },

    table(rows: readonly Record<string, string>[]): void {
      const columns = Object.keys(rows[0] ?? {});
      const widths = columns.map((name) => Math.max(name.length, ...rows.map((row) => (row[name] ?? '').length)));
      const inLine = (cells: readonly string[]) =>
        cells
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd();
      write(paint('dim', `    ${inLine(columns)}`));
      for (const row of rows) write(`    ${inLine(columns.map((name) => row[name] ?? ''))}`);
    },
  };
}

const brief = (value: unknown): string => inspect(value, { depth: 6, breakLength: 110, maxArrayLength: 20 });
