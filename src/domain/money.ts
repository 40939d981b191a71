const MICROS_PER_USD = 1_000_000;

/**
 * Dollars on the wire to whole micro-dollars inside. A part of one counts as a whole: what costs something is never free, however
 * often it is bought. What a double adds behind its fifteen digits is no part.
 */
export const toMicros = (usd: number): number => Math.ceil(Number((usd * MICROS_PER_USD).toPrecision(15)));

/** Whole micro-dollars to dollars. */
export const toUsd = (micros: number): number => micros / MICROS_PER_USD;
