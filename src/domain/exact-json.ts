import { visit } from 'jsonc-parser';
import { MAX_DEPTH } from '../contracts/depth.ts';
import { isExact, mayHoldInexact } from './exact-number.ts';

/** What is around the deepest object: a body holds `args`, which may be {@link MAX_DEPTH} deep by themselves. */
const MAX_LEVELS = MAX_DEPTH + 1;

/** Why a text was not read, and where. */
export interface Unreadable {
  readonly kind: 'unreadable';
  readonly why: string;
  /** The names and places in lists that lead there; empty for what is no JSON at all. */
  readonly path: ReadonlyArray<string | number>;
  /** Characters before it. */
  readonly position: number;
}

export type Reading = { readonly kind: 'read'; readonly value: unknown } | Unreadable;

/**
 * Reads JSON, and only what is kept exactly as it was written (RFC 7493): no name twice in an object, none that is `__proto__`,
 * no number that a double does not hold, neither NUL nor half a surrogate pair, at most 101 levels. It takes time in proportion
 * to the length of the text, and no more stack for what is deep.
 */
export function readExactly(text: string): Reading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return firstFault(text) ?? { kind: 'unreadable', why: 'JSON decode error', path: [], position: 0 };
  }
  // Nearly every text is seen to be sound at a glance; of the others each name, number and string is looked at.
  return (isSurelyExact(text, value) ? undefined : firstFault(text)) ?? { kind: 'read', value };
}

/** NUL, half a pair, or a letter of `__proto__`, as an escape. */
const ESCAPED = /\\u(?:0000|00[567]|d[89a-f])/i;

/** Never wrong about a yes. */
function isSurelyExact(text: string, value: unknown): boolean {
  if (ESCAPED.test(text) || text.includes('__proto__') || mayHoldInexact(text)) return false;
  // What is named twice is once in what was parsed.
  return membersIn(value, MAX_LEVELS) === namesAtMost(text);
}

/** How many members all objects have together; not a number where what holds them is too deep. */
function membersIn(value: unknown, levels: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (levels === 0) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') count += membersIn(item, levels - 1);
    return count;
  }
  // What was parsed has no members but its own.
  for (const name in value) {
    const member = (value as Record<string, unknown>)[name];
    count += 1;
    if (typeof member === 'object') count += membersIn(member, levels - 1);
  }
  return count;
}

/** How often a colon ends what may be a name: all that are, and some that stand in strings. */
function namesAtMost(text: string): number {
  let count = 0;
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) {
    const before = text.charCodeAt(at - 1);
    if (before === QUOTE || before <= SPACE) count += 1;
  }
  return count;
}

const QUOTE = 0x22;
const SPACE = 0x20;

/** Ends the visit at the first fault. */
class Found extends Error {
  readonly fault: Unreadable;

  constructor(why: string, path: ReadonlyArray<string | number>, position: number) {
    super(why);
    this.fault = { kind: 'unreadable', why, path, position };
  }
}

function firstFault(text: string): Unreadable | undefined {
  const names: Array<Set<string>> = [];
  let levels = 0;
  const enter = (position: number, pathTo: () => ReadonlyArray<string | number>) => {
    levels += 1;
    if (levels > MAX_LEVELS) throw new Found(`JSON should have at most ${MAX_LEVELS} levels`, pathTo(), position);
  };
  const leave = () => {
    levels -= 1;
  };
  try {
    visit(
      text,
      {
        onObjectBegin(position, _length, _line, _column, pathTo) {
          enter(position, pathTo);
          names.push(new Set());
        },
        onObjectProperty(name, position, _length, _line, _column, pathTo) {
          const known = names.at(-1);
          const why = faultOfText(name) ?? faultOfName(name, known);
          if (why !== undefined) throw new Found(why, [...pathTo(), name], position);
          known?.add(name);
        },
        onObjectEnd() {
          names.pop();
          leave();
        },
        onArrayBegin: (position, _length, _line, _column, pathTo) => enter(position, pathTo),
        onArrayEnd: leave,
        onLiteralValue(value, position, length, _line, _column, pathTo) {
          const why = faultOf(value, () => text.slice(position, position + length));
          if (why !== undefined) throw new Found(why, pathTo(), position);
        },
        onError(_code, position) {
          throw new Found('JSON decode error', [], position);
        },
      },
      { disallowComments: true },
    );
  } catch (error) {
    if (error instanceof Found) return error.fault;
    throw error;
  }
  return undefined;
}

function faultOf(value: unknown, written: () => string): string | undefined {
  if (typeof value === 'string') return faultOfText(value);
  if (typeof value !== 'number' || isExact(written())) return undefined;
  return 'Number should be one that a double holds, and an integer within 2^53';
}

function faultOfText(text: string): string | undefined {
  if (text.includes('\0')) return 'Text should have no NUL';
  return text.isWellFormed() ? undefined : 'Text should be well-formed Unicode';
}

function faultOfName(name: string, known: ReadonlySet<string> | undefined): string | undefined {
  if (name === '__proto__') return 'Object should have no member __proto__';
  return known?.has(name) ? 'Object should have each member once' : undefined;
}
