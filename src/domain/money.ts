const MICROS_PER_USD = 1_000_000;

/** Dollars on the wire to whole micro-dollars inside; rounds half up, so that no sum drifts. */
export const toMicros = (usd: number): number => Math.round(usd * MICROS_PER_USD);

/** Whole micro-dollars to dollars. */
export const toUsd = (micros: number): number => micros / MICROS_PER_USD;
