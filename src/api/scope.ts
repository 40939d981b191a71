import type { RequestHandler } from 'express';
import { Refusal } from '../contracts/errors.ts';
import type { Scope } from '../contracts/scope.ts';
import { grants } from '../domain/scope.ts';
import type { Route } from './route.ts';

/** What agents do: it changes nothing that bounds them. */
export const acting = ['agent'] as const satisfies readonly Scope[];
/** What an agent reads for that, as those do who look after it. */
export const following = ['agent', 'operator', 'auditor'] as const satisfies readonly Scope[];
/** What is read of agents. */
export const watching = ['operator', 'auditor'] as const satisfies readonly Scope[];
/** Whatever overrules a safety decision, or makes one. */
export const operating = ['operator'] as const satisfies readonly Scope[];
/** Keys, tenants, settings. */
export const administering = ['admin'] as const satisfies readonly Scope[];

/** Refuses a key that has none of the route's scopes, and one bound to agents where all are meant, before anything of its request is read. */
export function permit({ needs, bound }: Route): RequestHandler {
  return (_request, response, next) => {
    const { principal } = response.locals;
    if (!grants(principal.scopes, needs)) next(new Refusal('insufficient_scope', { needs }));
    else if (bound === 'refused' && principal.agentIds !== null) next(new Refusal('agent_not_permitted'));
    else next();
  };
}
