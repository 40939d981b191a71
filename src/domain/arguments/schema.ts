import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { LRUCache } from 'lru-cache';
import type { JsonObject } from '../../contracts/common.ts';
import { type Place, SchemaError } from './fault.ts';

/** Schemas are few: those of the tools in use. */
const MAX_COMPILED = 200;
/** Characters of what is wrong with arguments: names out of them may be in it. */
const MAX_MISFIT = 200;

const options = {
  // Unknown keywords and formats are annotations in 2020-12; formats are not enforced.
  strict: false,
  validateFormats: false,
  // An argument is there only where it was sent: every object has a `constructor`.
  ownProperties: true,
  // 19.99 is a multiple of 0.01, whatever a double makes of it.
  multipleOfPrecision: 6,
  logger: false,
} as const;

const DRAFT = 'https://json-schema.org/draft/2020-12/schema';
const metaSchema = new Ajv2020(options);

const compiled = new LRUCache<string, ValidateFunction>({ max: MAX_COMPILED });

/** Whether a schema is compiled already, so that holding arguments against it costs no more than that. */
export const isSchemaCompiled = (text: string): boolean => compiled.has(text);

/**
 * Compiles a JSON Schema (2020-12) for those who hold arguments against it after this. It takes as long as it takes: `src/judge`
 * bounds it.
 *
 * @throws {SchemaError} with the place of the fault.
 */
export function schemaOf(text: string): ValidateFunction {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  const made = compile(JSON.parse(text));
  compiled.set(text, made);
  return made;
}

function compile(schema: JsonObject): ValidateFunction {
  const { $schema } = schema;
  if ($schema !== undefined && String($schema).replace(/#$/, '') !== DRAFT)
    throw new SchemaError(`is enforced as ${DRAFT} only`, ['$schema']);
  if (schema.$async !== undefined) throw new SchemaError('a schema cannot be asynchronous', ['$async']);
  try {
    if (metaSchema.validateSchema(schema) !== true) {
      const [fault] = metaSchema.errors ?? [];
      throw new SchemaError(fault === undefined ? 'is no JSON Schema' : said(fault), placeOf(fault));
    }
    // One for each: those of two tools may have the same `$id`.
    return new Ajv2020({ ...options, validateSchema: false }).compile(schema);
  } catch (error) {
    if (error instanceof SchemaError) throw error;
    if (error instanceof RangeError) throw new SchemaError('is nested too deeply', []);
    throw new SchemaError(error instanceof Error ? error.message.slice(0, MAX_MISFIT) : 'cannot be compiled', []);
  }
}

/** What is wrong with arguments, the first that is, with its place; undefined where they fit. */
export function misfitOf(text: string, args: JsonObject): string | undefined {
  try {
    const fits = schemaOf(text);
    if (fits(args) === true) return undefined;
    const [fault] = fits.errors ?? [];
    return (fault === undefined ? 'the arguments do not fit' : said(fault)).slice(0, MAX_MISFIT);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'failed';
    return `the tool's input_schema cannot be used: ${why}`.slice(0, MAX_MISFIT);
  }
}

/** A fault as a caller can mend it: where, and what should be there. What was sent is not repeated. */
function said({ instancePath, message = 'is wrong', keyword, params }: ErrorObject): string {
  const at = instancePath === '' ? 'the object' : instancePath;
  const [extra] = [params.additionalProperty, params.unevaluatedProperty].filter((name) => typeof name === 'string');
  if (extra !== undefined) return `${at} must not have '${extra}'`;
  const allowed = keyword === 'enum' ? params.allowedValues : keyword === 'const' ? [params.allowedValue] : undefined;
  return allowed === undefined ? `${at} ${message}` : `${at} must be one of ${JSON.stringify(allowed)}`;
}

const placeOf = (fault: ErrorObject | undefined): Place =>
  (fault?.instancePath ?? '')
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
