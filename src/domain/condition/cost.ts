import type { JsonObject } from '../../contracts/common.ts';
import { ConditionError, childrenOf, type Node, type Parsed, positionOf } from './expression.ts';

const MAX_NODES = 256;
const MAX_NESTED_MACROS = 2;
/** About 20 ms of evaluation on the reference machine; beyond it the condition is not evaluated, which denies the call. */
const MAX_STEPS = 200_000;
/** A comparison or search reads its text: one step for so many bytes of arguments. */
const BYTES_A_STEP = 64;

const readers: ReadonlySet<string> = new Set([
  ...['_+_', '_==_', '_!=_', '_<_', '_<=_', '_>_', '_>=_', '@in'],
  ...['contains', 'startsWith', 'endsWith', 'matches', 'size', 'bytes', 'string', 'timestamp', 'duration'],
]);

/** How often the nodes of an expression run, by how many macros they stand in: plain ones, and those that read text. */
export interface Cost {
  readonly levels: ReadonlyArray<{ readonly plain: number; readonly readers: number }>;
  /** Elements of the longest list or map in the text. */
  readonly longestLiteral: number;
}

/**
 * Counts what an expression can cost.
 *
 * @throws {ConditionError} `cel_cost` where it has over 256 parts or over two macros within each other.
 */
export function costOf(text: string, parsed: Parsed): Cost {
  const levels: Array<{ plain: number; readers: number }> = [];
  let nodes = 0;
  let longestLiteral = 0;
  const tooMuch = (node: Node, message: string) =>
    new ConditionError('cel_cost', message, positionOf(text, parsed, node));
  const walk = (node: Node, depth: number): void => {
    nodes += 1;
    if (nodes > MAX_NODES) throw tooMuch(node, `a condition has at most ${MAX_NODES} parts`);
    if (depth > MAX_NESTED_MACROS) throw tooMuch(node, `macros stand in at most ${MAX_NESTED_MACROS - 1} other`);
    levels[depth] ??= { plain: 0, readers: 0 };
    const level = levels[depth];
    const { exprKind } = node;
    if (exprKind.case === 'callExpr' && readers.has(exprKind.value.function)) level.readers += 1;
    else level.plain += 1;
    if (exprKind.case === 'listExpr') longestLiteral = Math.max(longestLiteral, exprKind.value.elements.length);
    if (exprKind.case === 'structExpr') longestLiteral = Math.max(longestLiteral, exprKind.value.entries.length);
    const isMacro = exprKind.case === 'comprehensionExpr';
    for (const child of childrenOf(node)) {
      const inRange = isMacro && child === exprKind.value.iterRange;
      walk(child, isMacro && !inRange ? depth + 1 : depth);
    }
  };
  walk(parsed.expr, 0);
  return { levels, longestLiteral };
}

/** Whether an expression may be evaluated over these arguments: the worst case, in steps, is within its bound. */
export function isAffordable({ levels, longestLiteral }: Cost, args: JsonObject): boolean {
  const elements = Math.max(longestLiteral, valuesIn(args));
  const reading = 1 + Buffer.byteLength(JSON.stringify(args)) / BYTES_A_STEP;
  const steps = levels.reduce(
    (sum, { plain, readers }, depth) => sum + (plain + readers * reading) * elements ** depth,
    0,
  );
  return steps <= MAX_STEPS;
}

function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce<number>((sum, item) => sum + valuesIn(item), 1);
}
