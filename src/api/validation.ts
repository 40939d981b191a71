import type { z } from 'zod';

/** One entry of a 422, in the shape the clients know. */
export interface Invalid {
  readonly type: string;
  readonly loc: ReadonlyArray<string | number>;
  readonly msg: string;
  readonly input: unknown;
  /** Where in the input, for what has places of its own. */
  readonly ctx?: Readonly<Record<string, unknown>>;
}

/** A request that does not have the shape its route asks for. */
export class ValidationError extends Error {
  override readonly name = 'ValidationError';
  readonly invalid: readonly Invalid[];

  constructor(invalid: readonly Invalid[]) {
    super('validation');
    this.invalid = invalid;
  }
}

/** Long or secret input is not sent back. */
const MAX_ECHO = 200;

/** Whether nothing at all is a value of the schema too: a body that may be left out. */
export const isOptional = (schema: z.ZodType): boolean => schema.safeParse(undefined).success;

export type Place = 'body' | 'query' | 'path' | 'header';

/**
 * Parses one part of a request, or what stands at `path` within it.
 *
 * @throws {ValidationError} naming every fault, with its place.
 */
export function parsePart<S extends z.ZodType>(
  schema: S,
  value: unknown,
  place: Place,
  ...path: readonly string[]
): z.output<S> {
  if (value === undefined && place === 'body' && !isOptional(schema)) {
    throw new ValidationError([{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }]);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const invalid = parsed.error.issues.flatMap(meant).map((issue) => toInvalid(issue, value, place));
  throw new ValidationError(
    invalid.map(({ loc: [, ...inner], ...rest }) => ({ ...rest, loc: [place, ...path, ...inner] })),
  );
}

/** Of a union the issues of the one that was meant: a schema that forbids a field which is there is not. */
function meant(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const forbids = (issues: readonly z.core.$ZodIssue[]) =>
    issues.some((one) => one.code === 'invalid_type' && one.expected === 'never');
  const branch = issue.errors.findLast((issues) => !forbids(issues)) ?? issue.errors[0] ?? [];
  return branch.flatMap(meant).map((one) => ({ ...one, path: [...issue.path, ...one.path] }));
}

function toInvalid(issue: z.core.$ZodIssue, value: unknown, place: Place): Invalid {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  const input = path.reduce<unknown>((part, name) => (isObject(part) ? part[name] : undefined), value);
  const missing = input === undefined;
  return {
    type: missing ? 'missing' : typeOf(issue),
    loc: [place, ...path],
    msg: missing ? 'Field required' : issue.message,
    input: path.some((part) => /secret|auth|headers/i.test(String(part))) ? null : echo(input),
  };
}

function typeOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `${issue.expected}_type`;
    case 'too_small':
      return issue.origin === 'string' ? 'string_too_short' : 'greater_than_equal';
    case 'too_big':
      return issue.origin === 'string' ? 'string_too_long' : 'less_than_equal';
    case 'invalid_format':
      return 'string_pattern_mismatch';
    case 'invalid_value':
      return 'enum';
    case 'custom':
      return typeof issue.params?.type === 'string' ? issue.params.type : 'value_error';
    default:
      return 'value_error';
  }
}

/** An input as a refusal shows it. */
export function echo(input: unknown): unknown {
  if (input === undefined) return null;
  if (typeof input === 'string') return [...input.toWellFormed()].slice(0, MAX_ECHO).join('');
  return isObject(input) ? null : input;
}

const isObject = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null;
