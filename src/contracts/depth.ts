/** JSON objects deeper than this are refused: later stages (canonical form, payload conversion) walk them by recursion. */
export const MAX_DEPTH = 100;
