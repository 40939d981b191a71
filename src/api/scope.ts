import type { RequestHandler } from 'express';
import { Refusal } from '../contracts/errors.ts';
import type { Scope } from '../contracts/scope.ts';
import { grants } from '../domain/scope.ts';
import type { Route } from './route.ts';

/** What a route needs of a key: what it says, else `read` to read and `write` for everything else. */
export const scopeOf = ({ scope, method }: Route): Scope => scope ?? (method === 'get' ? 'read' : 'write');

/** Refuses a key without the route's scope, before anything of its request is read. */
export function permit(route: Route): RequestHandler {
  const scope = scopeOf(route);
  return (_request, response, next) => {
    const { principal } = response.locals;
    next(grants(principal.scopes, scope) ? undefined : new Refusal('insufficient_scope', { scope }));
  };
}
