import type { Expected } from '../store/policies.ts';
import { ValidationError } from './validation.ts';

const TAG = /^(?:(?<weak>W\/)?"(?<tag>[^"]*)"|(?<bare>\d+))$/;

/**
 * The versions that a request wants in force by `If-Match` (RFC 9110, section 13.1.1), or none where it does not say. A weak tag names none: here they are compared
 * strongly.
 *
 * @throws {ValidationError} where it is no list of tags.
 */
export function ifMatchOf(header: string | undefined): Expected | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return 'any';
  const tags = header.split(',').map((tag) => TAG.exec(tag.trim())?.groups);
  return tags.flatMap((tag) => {
    if (tag === undefined) throw malformed(header);
    const version = tag.tag ?? tag.bare ?? '';
    return tag.weak === undefined && /^\d{1,9}$/.test(version) ? [Number(version)] : [];
  });
}

const malformed = (input: string) =>
  new ValidationError([
    {
      type: 'string_pattern_mismatch',
      loc: ['header', 'If-Match'],
      msg: 'If-Match should be the version in quotes, such as "3"',
      input: input.slice(0, 64),
    },
  ]);
