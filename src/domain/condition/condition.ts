import { type CelInput, CelScalar, celEnv, isCelError, objectType, plan } from '@bufbuild/cel';
import { TimestampSchema, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { JsonObject } from '../../contracts/common.ts';
import type { Condition } from '../../contracts/policy.ts';
import { type Cost, costOf, isAffordable } from './cost.ts';
import { parseExpression } from './expression.ts';
import { typecheck } from './typecheck.ts';

/** What a condition is asked about. */
export interface Subject {
  readonly args: JsonObject;
  readonly agent: string;
  readonly tool: string;
  readonly spendUsd: number;
  readonly time: Date;
}

/** What a condition says of a call; `error` where it could not be evaluated, which is no yes. */
export interface Finding {
  readonly name: string;
  readonly holds: boolean;
  readonly error?: string;
}

interface Compiled {
  readonly cost: Cost;
  readonly evaluate: (variables: Record<string, CelInput>) => unknown;
}

const environment = celEnv({
  variables: {
    args: CelScalar.DYN,
    agent: CelScalar.STRING,
    tool: CelScalar.STRING,
    spend_usd: CelScalar.DOUBLE,
    time: objectType(TimestampSchema),
  },
});

/**
 * Compiles an expression, checking that it is one that can be evaluated and says yes or no.
 *
 * @throws {ConditionError} with the place of the fault.
 */
export function compile(expression: string): Compiled {
  const parsed = parseExpression(expression);
  typecheck(expression, parsed);
  const evaluate = plan(environment, parsed.expr) as unknown as Compiled['evaluate'];
  return { cost: costOf(expression, parsed), evaluate };
}

/** Texts are few: those of the policies in use. The bound is for a tenant that never stops making new ones. */
const MAX_COMPILED = 1_000;

/** The conditions of a policy that speak of a tool. */
const conditionsFor = (conditions: readonly Condition[], tool: string): Condition[] =>
  conditions.filter(({ tools }) => tools === undefined || tools.includes(tool));

/** Evaluates every condition that applies to the call, in the policy's order. */
export function findings(conditions: readonly Condition[], subject: Subject): Finding[] {
  return conditionsFor(conditions, subject.tool).map(({ name, expression }) => ({
    name,
    ...evaluate(expression, subject),
  }));
}

const compiled = new Map<string, Compiled>();

function compiledOf(expression: string): Compiled {
  const known = compiled.get(expression);
  if (known !== undefined) return known;
  if (compiled.size >= MAX_COMPILED) compiled.clear();
  const made = compile(expression);
  compiled.set(expression, made);
  return made;
}

function evaluate(expression: string, subject: Subject): Omit<Finding, 'name'> {
  const failed = (error: string) => ({ holds: false, error });
  try {
    const { cost, evaluate: run } = compiledOf(expression);
    if (!isAffordable(cost, subject.args)) return failed('too costly for arguments of this size');
    const result = run(variablesOf(subject));
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
