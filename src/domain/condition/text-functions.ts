import { type CelFunc, CelScalar, celFunc, celMethod } from '@bufbuild/cel';

const { BOOL, BYTES, INT, STRING } = CelScalar;

/**
 * Characters, and bytes, that putting two texts together may lead to: no arguments are longer (`MAX_BODY_BYTES`). Doubling a
 * text by the dozen would else ask for memory in one piece, which ends the process and not only the thread.
 */
const MAX_TEXT = 1_048_576;
const MAX_BYTES = 4 * MAX_TEXT;
/** Up to this many comparisons the engine's own search is quick, whatever the texts are. */
const QUICK_SEARCH = 1_000_000;
/** The functions on texts whose own form cannot be interrupted, or takes memory in one piece. */
export const textFunctions: CelFunc[] = [
  celMethod('contains', STRING, [STRING], BOOL, function (this: string, part: string) {
    return containsText(String(this), part);
  }),
  celFunc('_+_', [STRING, STRING], STRING, (left, right) => {
    if (left.length + right.length > MAX_TEXT) throw new Error(`a text has at most ${MAX_TEXT} characters`);
    return left + right;
  }),
  celFunc('_+_', [BYTES, BYTES], BYTES, (left, right) => {
    if (left.length + right.length > MAX_BYTES) throw new Error(`there may be at most ${MAX_BYTES} bytes`);
    const both = new Uint8Array(left.length + right.length);
    both.set(left);
    both.set(right, left.length);
    return both;
  }),
  celFunc('size', [STRING], INT, codePoints),
  celMethod('size', STRING, [], INT, function (this: string) {
    return codePoints(this);
  }),
];

function codePoints(text: string): bigint {
  let count = 0n;
  for (const _ of text) count += 1n;
  return count;
}

/**
 * Whether a text stands in another. The engine's search takes the product of both lengths at the worst, in one piece: long texts
 * are searched in linear time (Knuth, Morris, Pratt), by code that a deadline can interrupt.
 */
export function containsText(text: string, part: string): boolean {
  if (text.length * part.length <= QUICK_SEARCH) return text.includes(part);
  const borders = bordersOf(part);
  let matched = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    while (matched > 0 && part.charCodeAt(matched) !== unit) matched = borders[matched - 1] ?? 0;
    if (part.charCodeAt(matched) === unit) matched += 1;
    if (matched === part.length) return true;
  }
  return false;
}

/** For each beginning of a text: how long the longest other beginning is that it ends with. */
function bordersOf(part: string): Uint32Array {
  const borders = new Uint32Array(part.length);
  let length = 0;
  for (let at = 1; at < part.length; at += 1) {
    const unit = part.charCodeAt(at);
    while (length > 0 && part.charCodeAt(length) !== unit) length = borders[length - 1] ?? 0;
    if (part.charCodeAt(length) === unit) length += 1;
    borders[at] = length;
  }
  return borders;
}
