/** The agents that a key speaks for; null: any. */
export type Agents = readonly string[] | null;

/** Whether a key that speaks for these agents has a say in what is of this one; what is of no agent is everybody's. */
export const speaksFor = (agents: Agents, agentId: string | null | undefined): boolean =>
  agents === null || agentId === null || agentId === undefined || agents.includes(agentId);
