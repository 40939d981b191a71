import type { Cap, Exchange } from '../history.ts';
import type { Client } from '../recorder.ts';
import { type ToolName, toolNames } from '../tools.ts';

/** Agents with a cap, made as they are needed. */
export interface Budgets {
  readonly caps: Readonly<Record<string, Cap>>;
  /** Resolves once the agent's policy is in force. */
  has(agent: string, client: Client): Promise<void>;
}

const capOf = (agent: string): Cap => (agent.startsWith('hourly') ? { calls: 10 } : { usd: 12 });

export function createBudgets(): Budgets {
  const made = new Map<string, Promise<void>>();
  const caps: Record<string, Cap> = {};
  const make = async (agent: string, client: Client) => {
    const cap = capOf(agent);
    const json = { max_spend_usd_per_day: cap.usd, max_actions_per_hour: cap.calls };
    const ask = { path: `/v1/policies/${agent}`, json };
    const answer = await client.insist({ op: 'policy', subject: agent }, ask, { tries: 50 });
    // Until it was told to be in force it promises nothing.
    if (answer.status === 200) caps[agent] = cap;
  };
  return {
    caps,
    has(agent, client) {
      const making = made.get(agent) ?? make(agent, client);
      made.set(agent, making);
      return making;
    },
  };
}

/** A governed call, as it is made and repeated. */
export interface Call {
  readonly intent: string;
  readonly agent: string;
  readonly tool: ToolName;
  readonly usd: number;
  readonly explicit: boolean;
  readonly wait?: number | undefined;
}

/** Callers of single tools, with a key of their own or without, patient or not. */
export async function makeCalls(client: Client, budgets: Budgets, working: () => boolean): Promise<void> {
  const { numbers } = client;
  for (let n = 0; working(); n += 1) {
    const tool = numbers.pick(toolNames);
    const agent = numbers.weighted([
      [4, `agent-${numbers.below(3)}`],
      [2, `switch-${numbers.below(2)}`],
      [3, `budget-${Math.floor(n / 15)}`],
      [1, `hourly-${Math.floor(n / 40)}`],
    ]);
    const call: Call = {
      ...{ intent: `${client.name}/${n}`, tool, agent: tool === 'ask' ? 'asking' : agent },
      ...{ usd: numbers.below(4), explicit: numbers.chance(60), wait: numbers.pick([0, 1, 2, 5, undefined]) },
    };
    const twice = numbers.chance(15);
    const givesUp = numbers.chance(10);
    const asksAgain = numbers.chance(30);
    const looks = numbers.below(5);
    if (/^(budget|hourly)/.test(call.agent)) await budgets.has(call.agent, client);
    const how = { tries: givesUp ? 1 : 8, untilOver: call.tool !== 'ask' };
    const same = twice ? [make(client, call, how), make(client, call, how)] : [make(client, call, how)];
    const answers = await Promise.all(same);
    await follow(client, answers[0], looks);
    if (asksAgain) await make(client, call, { tries: 2 });
    await client.pause(20, 250);
  }
}

/** Reads an action that is not over, some times. */
async function follow(client: Client, told: Exchange | undefined, looks: number): Promise<void> {
  const id = told?.body.action_id;
  if (id === undefined || told?.status !== 202) return;
  for (let looked = 0; looked < looks; looked += 1) {
    await client.pause(200, 1_000);
    await client.ask({ op: 'action', subject: id }, { method: 'GET', path: `/v1/actions/${id}` });
  }
}

/** Makes a call, and goes on asking for what came of it. */
export function make(
  client: Client,
  { intent, agent, tool, usd, explicit, wait }: Call,
  how: { tries?: number; untilOver?: boolean } = {},
): Promise<Exchange> {
  return client.insist(
    { op: 'call', subject: intent, agent, usd, explicit },
    {
      path: '/v1/ai/run',
      json: { agent_id: agent, tool, args: { intent, usd }, spend_usd: usd, ...(wait !== undefined && { wait }) },
      timeoutMs: 10_000 + (wait ?? 5) * 1_000,
      ...(explicit && { headers: { 'idempotency-key': `"${intent}"` } }),
    },
    how,
  );
}
