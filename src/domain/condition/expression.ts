import { parse } from '@bufbuild/cel';

/** A parsed expression; its nodes know their place in the text by their id. */
export type Parsed = ReturnType<typeof parse>;
export type Node = Parsed['expr'];

/** Where in the text something is: the offset counts from 0, line and column from 1. */
export interface Position {
  readonly offset: number;
  readonly line: number;
  readonly column: number;
}

/** An expression that cannot be a condition, and where it goes wrong. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError';
  readonly kind: 'cel_syntax' | 'cel_type' | 'cel_cost';
  readonly position: Position;

  constructor(kind: ConditionError['kind'], message: string, position: Position) {
    super(message);
    this.kind = kind;
    this.position = position;
  }
}

const start: Position = { offset: 0, line: 1, column: 1 };

/**
 * Parses an expression of CEL (https://github.com/google/cel-spec).
 *
 * @throws {ConditionError} `cel_syntax`, at the place where it ends to be one.
 */
export function parseExpression(text: string): Parsed {
  try {
    return parse(text);
  } catch (error) {
    // Brackets by the hundred exhaust the parser's stack.
    if (error instanceof RangeError) throw new ConditionError('cel_syntax', 'nested too deeply', start);
    const { message, position } = syntaxFault(error);
    throw new ConditionError('cel_syntax', message, position);
  }
}

function syntaxFault(error: unknown): { message: string; position: Position } {
  if (!(error instanceof Error)) return { message: 'cannot be parsed', position: start };
  const at = 'location' in error ? Object(error.location).start : undefined;
  const position = typeof at?.offset === 'number' ? { offset: at.offset, line: at.line, column: at.column } : start;
  const message = 'rawMessage' in error ? String(error.rawMessage) : error.message;
  return { message, position };
}

/** The place of a node. Columns count UTF-16 units, as JavaScript does. */
export function positionOf(text: string, { sourceInfo }: Parsed, node: Node): Position {
  const begin = sourceInfo?.positions[String(node.id)] ?? 0;
  // The parser counts the space before an operator to it.
  const offset = begin + (/^\s*/.exec(text.slice(begin))?.[0].length ?? 0);
  const before = text.slice(0, offset).split('\n');
  return { offset, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** The nodes right below one. */
export function childrenOf({ exprKind }: Node): Node[] {
  const present = (nodes: ReadonlyArray<Node | undefined>): Node[] => nodes.filter((node) => node !== undefined);
  switch (exprKind.case) {
    case 'selectExpr':
      return present([exprKind.value.operand]);
    case 'callExpr':
      return present([exprKind.value.target, ...exprKind.value.args]);
    case 'listExpr':
      return exprKind.value.elements;
    case 'structExpr':
      return exprKind.value.entries.flatMap((entry) =>
        present([entry.keyKind.case === 'mapKey' ? entry.keyKind.value : undefined, entry.value]),
      );
    case 'comprehensionExpr': {
      const { iterRange, accuInit, loopCondition, loopStep, result } = exprKind.value;
      return present([iterRange, accuInit, loopCondition, loopStep, result]);
    }
    default:
      return [];
  }
}
