import { AgentId } from '../contracts/common.ts';
import { Refusal } from '../contracts/errors.ts';
import { type Agents, speaksFor } from '../domain/agents.ts';

/** A request as far as it may name an agent. */
interface Parsed {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
}

const SCOPE_OF_AGENT = 'agent:';

/**
 * Refuses a key that is bound to other agents than the request names: in its path, its query, its body, the metadata of a lease
 * or a run, or the scope of a tool (contract, section 9).
 *
 * @throws {Refusal} `agent_not_permitted`.
 */
export function onlyOwn(agents: Agents, request: Parsed): void {
  if (agents === null) return;
  for (const agentId of namedIn(request)) mayActFor(agents, agentId);
}

/** @throws {Refusal} `agent_not_permitted` where the key is bound to other agents than this one. */
export function mayActFor(agents: Agents, agentId: string | null | undefined): void {
  if (!speaksFor(agents, agentId)) throw new Refusal('agent_not_permitted', { agent_id: agentId });
}

/** The scope of tools that all agents share is not for a key that speaks for some. */
export function onlyOwnScope(agents: Agents, scopeId: string): void {
  if (agents !== null && !scopeId.startsWith(SCOPE_OF_AGENT)) throw new Refusal('agent_not_permitted');
}

/** The scopes of the tools that the agents of a key can call; undefined: all there are. */
export const scopesOf = (agents: Agents): string[] | undefined =>
  agents === null ? undefined : ['global', ...agents.map((agentId) => `${SCOPE_OF_AGENT}${agentId}`)];

function* namedIn({ params, query, body }: Parsed): Iterable<string> {
  const metadata = memberOf(body, 'metadata');
  for (const part of [params, query, body, metadata]) {
    const agentId = memberOf(part, 'agent_id');
    // Free data may name an agent in another form; what is no agent's id at all names none.
    if (typeof agentId === 'string') yield AgentId.safeParse(agentId).data ?? agentId;
    const scopeId = memberOf(part, 'scope_id');
    if (typeof scopeId === 'string' && scopeId.startsWith(SCOPE_OF_AGENT)) yield scopeId.slice(SCOPE_OF_AGENT.length);
  }
}

const memberOf = (part: unknown, name: string): unknown =>
  typeof part === 'object' && part !== null ? (part as Record<string, unknown>)[name] : undefined;
