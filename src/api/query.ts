import { ValidationError } from './validation.ts';

/**
 * Reads the query of an address (application/x-www-form-urlencoded), and only what is kept exactly as it was sent: bytes that are no
 * UTF-8, NUL and a name that is there twice are refused, where most parsers put something else in their place.
 *
 * @throws {ValidationError} with the name.
 */
export function readQuery(query: string | null | undefined): Record<string, string> {
  const parts = (query ?? '').split('&').filter((part) => part !== '');
  const read = new Map<string, string>();
  for (const part of parts) {
    const end = part.indexOf('=');
    const written = end < 0 ? part : part.slice(0, end);
    const [name, value] = [decode(written), end < 0 ? '' : decode(part.slice(end + 1))];
    if (name === undefined || value === undefined) {
      throw refused(name ?? written, 'string_unicode', 'Query should be well-formed Unicode without NUL');
    }
    if (read.has(name)) throw refused(name, 'value_error', 'Query should have each name once');
    read.set(name, value);
  }
  return Object.fromEntries(read);
}

function decode(written: string): string | undefined {
  try {
    const text = decodeURIComponent(written.replaceAll('+', ' '));
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

const refused = (name: string, type: string, msg: string): ValidationError =>
  new ValidationError([{ type, loc: ['query', name], msg, input: null }]);
