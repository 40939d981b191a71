import { z } from 'zod';

const MAX_HEADERS = 32;
const MAX_CHARACTERS = 8_192;

/** What this server says itself, or what frames a request: whoever could set it would speak for the server, or smuggle. */
const RESERVED = new Set([
  ...['host', 'connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'te', 'trailer', 'upgrade'],
  ...['transfer-encoding', 'content-length', 'content-type', 'content-encoding', 'expect', 'accept-encoding'],
  'idempotency-key',
]);
const isReserved = (name: string): boolean => RESERVED.has(name) || /^(x-onceonly|webhook)-/.test(name);

/** A token of RFC 9110, section 5.6.2. */
const HeaderName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'Name should be that of a header (RFC 9110)' });

/** Printable ASCII without space around it; line breaks above all are none. */
const HeaderValue = z
  .string()
  .max(4096)
  .regex(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/, {
    error: 'Value should be printable ASCII without space around it',
  });

/**
 * Headers that go with every call of a tool, such as what its gateway asks for: at most 32, 8,192 characters in all. Names count in
 * any case of letters as one. What the server sends itself is refused.
 */
export const ToolHeaders = z
  .record(HeaderName, HeaderValue)
  .superRefine((headers, context) => {
    const names = Object.keys(headers);
    const refuse = (message: string, path: string[] = []) =>
      context.addIssue({ code: 'custom', message, path, params: { type: 'value_error' } });
    if (names.length > MAX_HEADERS) refuse(`There should be at most ${MAX_HEADERS} headers`);
    const characters = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
    if (characters > MAX_CHARACTERS) refuse(`Headers should have at most ${MAX_CHARACTERS} characters in all`);
    const seen = new Set<string>();
    for (const name of names) {
      const lower = name.toLowerCase();
      if (isReserved(lower)) refuse('This server sets such a header itself', [name]);
      if (seen.has(lower)) refuse('The same header is there in another case of letters', [name]);
      seen.add(lower);
    }
  })
  .meta({ writeOnly: true, example: { Authorization: 'Bearer of-the-gateway' } });
export type ToolHeaders = z.output<typeof ToolHeaders>;
