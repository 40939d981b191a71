import { type CelInput, CelScalar, celEnv, isCelError, objectType, plan } from '@bufbuild/cel';
import { TimestampSchema, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { LRUCache } from 'lru-cache';
import type { Condition } from '../../contracts/policy.ts';
import { parseExpression } from './expression.ts';
import type { Finding, Subject } from './finding.ts';
import { listFunctions } from './list-functions.ts';
import { forgetPatterns, patternFunctions } from './patterns.ts';
import { checkSize } from './size.ts';
import { textFunctions } from './text-functions.ts';
import { timeFunctions } from './time-functions.ts';
import { typecheck } from './typecheck.ts';

type Evaluate = (variables: Record<string, CelInput>) => unknown;

const environment = celEnv({
  variables: {
    args: CelScalar.DYN,
    agent: CelScalar.STRING,
    tool: CelScalar.STRING,
    spend_usd: CelScalar.DOUBLE,
    time: objectType(TimestampSchema),
  },
  funcs: [...listFunctions, ...textFunctions, ...patternFunctions, ...timeFunctions],
});

/**
 * Compiles an expression, checking that it is one that can be evaluated and says yes or no.
 *
 * @throws {ConditionError} with the place of the fault.
 */
export function compile(expression: string): Evaluate {
  const parsed = parseExpression(expression);
  typecheck(expression, parsed);
  checkSize(expression, parsed);
  return plan(environment, parsed.expr) as unknown as Evaluate;
}

/** Texts are few: those of the policies in use. The bound is for a tenant that never stops making new ones. */
const MAX_COMPILED = 1_000;
/** Characters of why a condition could not be evaluated: the library repeats what it was given, which may be an argument. */
const MAX_ERROR = 200;
const compiled = new LRUCache<string, Evaluate>({ max: MAX_COMPILED });

/** Whether an expression is compiled already, so that evaluating it costs no more than that. */
export const isCompiled = (expression: string): boolean => compiled.has(expression);

/**
 * Compiles an expression for those who evaluate it after this.
 *
 * @throws {ConditionError} with the place of the fault.
 */
export function compiledOf(expression: string): Evaluate {
  const known = compiled.get(expression);
  if (known !== undefined) return known;
  const made = compile(expression);
  compiled.set(expression, made);
  return made;
}

/** Who follows an evaluation: what it is at, and what was found. Places count from 0; `ready` comes before the first. */
export interface Following {
  ready(): void;
  begins(n: number): void;
  found(n: number, finding: Finding): void;
}

/** Evaluates every condition in its order. It takes as long as it takes: `src/judge` bounds it. */
export function findings(conditions: readonly Condition[], subject: Subject, following?: Following): Finding[] {
  const variables = variablesOf(subject);
  forgetPatterns();
  following?.ready();
  return conditions.map(({ name, expression }, n) => {
    following?.begins(n);
    const finding = { name, ...evaluate(expression, variables) };
    following?.found(n, finding);
    return finding;
  });
}

function evaluate(expression: string, variables: Record<string, CelInput>): Omit<Finding, 'name'> {
  const failed = (error: string) => ({ holds: false, error: error.slice(0, MAX_ERROR) });
  try {
    const result = compiledOf(expression)(variables);
    if (isCelError(result)) return failed(result.message);
    return typeof result === 'boolean' ? { holds: result } : failed(`neither true nor false: ${typeof result}`);
  } catch (error) {
    return failed(error instanceof Error ? error.message : 'failed');
  }
}

const variablesOf = ({ args, agent, tool, spendUsd, time }: Subject): Record<string, CelInput> => ({
  args: toCel(args),
  agent,
  tool,
  spend_usd: spendUsd,
  time: timestampFromDate(time),
});

/** JSON as CEL takes it: objects are maps, numbers stay doubles. */
function toCel(value: unknown): CelInput {
  if (Array.isArray(value)) return value.map(toCel);
  if (typeof value === 'object' && value !== null) {
    return new Map(Object.entries(value).map(([name, item]) => [name, toCel(item)]));
  }
  return value as CelInput;
}
