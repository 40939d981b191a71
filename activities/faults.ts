import { z } from 'zod';
import { whyUnreadable } from '../src/contracts/unreadable.ts';

/** What anybody may have sent, as its schema says it, or what is wrong with it and where; the values are not repeated. */
export type Parsed<T> =
  | { readonly data: T; readonly error: undefined }
  | { readonly data: undefined; readonly error: string };

/** Parses an input of a workflow, or the argument of an update. */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): Parsed<z.output<S>> {
  const why = whyUnreadable(input);
  if (why !== undefined) return { data: undefined, error: why };
  const { data, error } = schema.safeParse(input);
  return error === undefined ? { data, error } : { data: undefined, error: z.prettifyError(error) };
}
