import { ConditionError, type Node, type Parsed, positionOf } from './expression.ts';
import { fits, functions, type Type, typeNames } from './functions.ts';

/** What a condition can speak of. */
export const variables = {
  args: 'json',
  agent: 'string',
  tool: 'string',
  spend_usd: 'double',
  time: 'timestamp',
} as const satisfies Record<string, Type>;

type Scope = ReadonlyMap<string, Type>;
type Kind<Case extends Node['exprKind']['case']> = Extract<Node['exprKind'], { case: Case }>;

/**
 * Checks that an expression speaks only of what there is, calls functions by what they take, and says yes or no. The library
 * evaluates CEL but checks only constants and names, hence this. What comes out of `args` is known at the call only.
 *
 * @throws {ConditionError} `cel_type`, at the node that is wrong.
 */
export function typecheck(text: string, parsed: Parsed): void {
  const wrong = (node: Node, message: string) =>
    new ConditionError('cel_type', message, positionOf(text, parsed, node));
  const result = typeOf(parsed.expr, new Map(Object.entries(variables)), wrong);
  if (!fits(result, 'bool')) throw wrong(parsed.expr, `a condition is true or false, this is of type ${result}`);
}

type Wrong = (node: Node, message: string) => ConditionError;

function typeOf(node: Node, scope: Scope, wrong: Wrong): Type {
  const { exprKind } = node;
  switch (exprKind.case) {
    case 'constExpr':
      return constantTypes[exprKind.value.constantKind.case ?? 'nullValue'];
    case 'identExpr':
      return nameType(node, exprKind.value.name, scope, wrong);
    case 'selectExpr':
      return selectType(node, exprKind, scope, wrong);
    case 'callExpr':
      return callType(node, exprKind, scope, wrong);
    case 'listExpr':
      for (const element of exprKind.value.elements) typeOf(element, scope, wrong);
      return 'list';
    case 'structExpr':
      return structType(node, exprKind, scope, wrong);
    case 'comprehensionExpr':
      return comprehensionType(node, exprKind, scope, wrong);
    default:
      throw wrong(node, 'this is not part of an expression');
  }
}

const constantTypes = {
  boolValue: 'bool',
  bytesValue: 'bytes',
  doubleValue: 'double',
  durationValue: 'duration',
  int64Value: 'int',
  nullValue: 'null_type',
  stringValue: 'string',
  timestampValue: 'timestamp',
  uint64Value: 'uint',
} as const;

function nameType(node: Node, name: string, scope: Scope, wrong: Wrong): Type {
  const type = scope.get(name);
  if (type !== undefined) return type;
  if (typeNames.has(name)) return 'type';
  throw wrong(node, `nothing is called '${name}' here; there are ${Object.keys(variables).join(', ')}`);
}

function selectType(node: Node, { value }: Kind<'selectExpr'>, scope: Scope, wrong: Wrong): Type {
  const operand = value.operand === undefined ? 'dyn' : typeOf(value.operand, scope, wrong);
  if (!fits(operand, 'map')) throw wrong(node, `a value of type ${operand} has no field '${value.field}'`);
  if (value.testOnly) return 'bool';
  return operand === 'json' ? 'json' : 'dyn';
}

function callType(node: Node, { value }: Kind<'callExpr'>, scope: Scope, wrong: Wrong): Type {
  const name = value.function;
  const operands = value.target === undefined ? value.args : [value.target, ...value.args];
  const overloads = functions.get(name);
  const isSpecial = name === '_?_:_' || name === '_[_]';
  if (overloads === undefined && !isSpecial) throw wrong(node, `there is no function '${name}'`);
  const types = operands.map((operand) => typeOf(operand, scope, wrong));
  if (name === '_?_:_') return choiceType(node, types, wrong);
  if (name === '_[_]') return elementType(node, types, wrong);
  const results = new Set(
    overloads
      ?.filter(({ args }) => args.length === types.length && args.every((arg, n) => fits(types[n] as Type, arg)))
      .map(({ result }) => result),
  );
  if (results.size === 0) throw wrong(node, misuse(name, types));
  return results.size === 1 ? ([...results][0] as Type) : 'dyn';
}

/** Why a function does not take what it is given, with the mistake that numbers in JSON invite. */
function misuse(name: string, types: readonly Type[]): string {
  const said = `'${name.replaceAll('_', ' ').trim()}' does not take (${types.join(', ')})`;
  const mixed = types.includes('int') && types.some((type) => type === 'json' || type === 'double');
  return mixed ? `${said}: numbers in JSON are doubles, so write 1.0 for 1` : said;
}

function choiceType(node: Node, [question, yes, no]: readonly Type[], wrong: Wrong): Type {
  if (!fits(question ?? 'dyn', 'bool')) throw wrong(node, `a choice needs true or false, not ${question}`);
  return yes === no ? (yes ?? 'dyn') : 'dyn';
}

function elementType(node: Node, [of = 'dyn', index = 'dyn']: readonly Type[], wrong: Wrong): Type {
  const isList = fits(of, 'list') && (['int', 'uint', 'double'] as const).some((type) => fits(index, type));
  const isMap = fits(of, 'map');
  if (!isList && !isMap) throw wrong(node, `a value of type ${of} has nothing at a ${index}`);
  return of === 'json' ? 'json' : 'dyn';
}

function structType(node: Node, { value }: Kind<'structExpr'>, scope: Scope, wrong: Wrong): Type {
  if (value.messageName !== '') throw wrong(node, `there is no message '${value.messageName}' here`);
  for (const { keyKind, value: entry } of value.entries) {
    if (keyKind.case === 'mapKey') typeOf(keyKind.value, scope, wrong);
    if (entry !== undefined) typeOf(entry, scope, wrong);
  }
  return 'map';
}

/** What the macros `all`, `exists`, `exists_one`, `map` and `filter` become. */
function comprehensionType(node: Node, { value }: Kind<'comprehensionExpr'>, scope: Scope, wrong: Wrong): Type {
  const { iterVar, accuVar, iterRange, accuInit, loopCondition, loopStep, result } = value;
  if (!iterRange || !accuInit || !loopCondition || !loopStep || !result)
    throw wrong(node, 'this macro is not complete');
  const range = typeOf(iterRange, scope, wrong);
  if (!fits(range, 'list') && !fits(range, 'map')) throw wrong(iterRange, `a value of type ${range} has no elements`);
  const accu = typeOf(accuInit, scope, wrong);
  const inner = new Map([...scope, [accuVar, accu], [iterVar, range === 'json' ? 'json' : 'dyn']] as const);
  for (const part of [loopCondition, loopStep]) typeOf(part, inner, wrong);
  return typeOf(result, new Map([...scope, [accuVar, accu]]), wrong);
}
