/** JSON, one item a line (https://github.com/ndjson/ndjson-spec). */
export async function* asNdjson(pages: AsyncIterable<readonly object[]>): AsyncGenerator<string> {
  for await (const page of pages) yield page.map((item) => `${JSON.stringify(item)}\n`).join('');
}

/** RFC 4180 with a header of `columns`; null is empty. */
export async function* asCsv<Item extends object>(
  columns: ReadonlyArray<keyof Item & string>,
  pages: AsyncIterable<readonly Item[]>,
): AsyncGenerator<string> {
  yield rowOf(columns);
  for await (const page of pages) yield page.map((item) => rowOf(columns.map((name) => item[name]))).join('');
}

const rowOf = (fields: readonly unknown[]): string => `${fields.map(fieldOf).join(',')}\r\n`;

/**
 * One field, quoted where it has to be. Text that a spreadsheet would run as a formula is led by an apostrophe
 * (https://owasp.org/www-community/attacks/CSV_Injection): keys and tool names are what strangers send.
 */
function fieldOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return fieldOf(JSON.stringify(value));
  const harmless = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
