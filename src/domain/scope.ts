import { type Scope, scopes } from '../contracts/scope.ts';

/** Whether a key with these scopes may do what needs `needed`; a scope that nobody knows grants nothing. */
export const grants = (held: readonly string[], needed: Scope): boolean =>
  scopes.slice(scopes.indexOf(needed)).some((scope) => held.includes(scope));
