import type { z } from 'zod';
import { brokenJson } from '../body.ts';
import type { Route } from '../route.ts';
import { type Invalid, type Place, parsePart, ValidationError } from '../validation.ts';

/** Values that few parameters take: what the parser says of one is the example. */
const unlikely = ['0', 'no such thing', '\u0000'];

/** What a route says of requests that do not have its shape, by the place of the fault: asked of its own schemas. */
export function invalidExamplesOf({ params, query, body }: Route): Array<[string, readonly Invalid[]]> {
  return [
    ...(params ? named('invalid_path', faultIn(params as z.ZodObject, 'path')) : []),
    ...(query ? named('invalid_query', faultIn(query as z.ZodObject, 'query')) : []),
    ...(body ? named('invalid_body', faultsOf(body, {}, 'body') ?? faultsOf(body, [], 'body')) : []),
    ...(body ? named('invalid_json', [brokenJson]) : []),
  ];
}

const named = (name: string, faults: readonly Invalid[] | undefined): Array<[string, readonly Invalid[]]> =>
  faults === undefined ? [] : [[name, faults]];

/** The first fault that a parameter by itself can have. */
function faultIn(schema: z.ZodObject, place: Place): readonly Invalid[] | undefined {
  for (const name of Object.keys(schema.shape)) {
    for (const value of unlikely) {
      const own = faultsOf(schema, { [name]: value }, place)?.filter(({ loc }) => loc[1] === name);
      if (own !== undefined && own.length > 0) return own;
    }
  }
  return undefined;
}

function faultsOf(schema: z.ZodType, value: unknown, place: Place): readonly Invalid[] | undefined {
  try {
    parsePart(schema, value, place);
    return undefined;
  } catch (error) {
    if (error instanceof ValidationError) return error.invalid;
    throw error;
  }
}
