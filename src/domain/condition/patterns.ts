import { type CelFunc, CelScalar, celMethod } from '@bufbuild/cel';
import { RE2JS } from '@bufbuild/re2';
import { LRUCache } from 'lru-cache';

const { BOOL, STRING } = CelScalar;

/** Patterns kept at a time: conditions name a few, what comes out of arguments is compiled as often as it has to be. */
const MAX_PATTERNS = 64;
const patterns = new LRUCache<string, RE2JS>({ max: MAX_PATTERNS });

/**
 * Forgets them: whoever evaluates the conditions of a call does it first. What a pattern has matched stays with it (states of an
 * automaton, by the megabyte if somebody wants it so), and nobody shall fill a thread's memory for the calls after his.
 */
export const forgetPatterns = (): void => patterns.clear();

/** `matches` as the library has it (RE2, anywhere in the text), but each pattern is compiled once a call: that costs ten times a match. */
export const patternFunctions: CelFunc[] = [
  celMethod('matches', STRING, [STRING], BOOL, function (this: string, pattern: string) {
    const text = String(this);
    const known = patterns.get(pattern);
    if (known !== undefined) return known.test(text);
    const compiled = RE2JS.compile(pattern);
    patterns.set(pattern, compiled);
    return compiled.test(text);
  }),
];
