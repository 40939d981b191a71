import { ConditionError, childrenOf, type Node, type Parsed, positionOf } from './expression.ts';

const MAX_NODES = 256;
const MAX_NESTED_MACROS = 2;

/**
 * Refuses what nobody writes by hand, before it is kept. What a condition costs when it is evaluated is bounded by time alone
 * (docs/adr/0018): it depends on what it is asked about.
 *
 * @throws {ConditionError} `cel_cost` where it has over 256 parts or over two macros within each other.
 */
export function checkSize(text: string, parsed: Parsed): void {
  let nodes = 0;
  const tooMuch = (node: Node, message: string) =>
    new ConditionError('cel_cost', message, positionOf(text, parsed, node));
  const walk = (node: Node, depth: number): void => {
    nodes += 1;
    if (nodes > MAX_NODES) throw tooMuch(node, `a condition has at most ${MAX_NODES} parts`);
    if (depth > MAX_NESTED_MACROS) throw tooMuch(node, `macros stand in at most ${MAX_NESTED_MACROS - 1} other`);
    const { exprKind } = node;
    const isMacro = exprKind.case === 'comprehensionExpr';
    for (const child of childrenOf(node)) {
      const inRange = isMacro && child === exprKind.value.iterRange;
      walk(child, isMacro && !inRange ? depth + 1 : depth);
    }
  };
  walk(parsed.expr, 0);
}
