import { type Scope, scopes } from '../contracts/scope.ts';

/** Whether a key with these scopes may do what any one of `needs` is enough for; a scope that nobody knows grants nothing. */
export const grants = (held: readonly string[], needs: readonly Scope[]): boolean =>
  held.includes('admin') || needs.some((scope) => held.includes(scope));

/** Those that are known, in their order. */
export const known = (held: readonly string[]): Scope[] => scopes.filter((scope) => held.includes(scope));
