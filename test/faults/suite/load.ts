import type { Deployment } from './deployment.ts';
import { createBudgets, makeCalls } from './load/calls.ts';
import { holdLeases, lockKeys } from './load/keys.ts';
import { decideApprovals, lookAround, settleDoubts, turnSwitches } from './load/operators.ts';
import { makeRuns } from './load/runs.ts';
import type { Client, createRecorder } from './recorder.ts';
import { type Ledger, type Tools, toolNames } from './tools.ts';

/** How many clients of each kind ask at once. */
const COUNTS = { lock: 2, lease: 3, call: 5, run: 2 };

/** Registers the tools, and says whose calls of `ask` wait for a person. */
export async function prepare(client: Client, tools: Tools, { receiverUrl }: Deployment): Promise<void> {
  for (const name of toolNames) {
    const { status } = await client.insist(
      { op: 'policy', subject: name },
      { path: '/v1/tools', json: tools.registration(name, receiverUrl) },
    );
    if (status !== 200) throw new Error(`the tool ${name} was refused: ${status}`);
  }
  const json = { require_approval: ['ask'] };
  const { status } = await client.insist({ op: 'policy', subject: 'asking' }, { path: '/v1/policies/asking', json });
  if (status !== 200) throw new Error(`the policy was refused: ${status}`);
}

/** Clients of every kind, until they are told to stop. What each of them chooses is decided by the seed. */
export function startLoad(recorder: ReturnType<typeof createRecorder>, ledger: Ledger) {
  let isWorking = true;
  const working = () => isWorking;
  const budgets = createBudgets();
  const several = (name: keyof typeof COUNTS, play: (one: Client) => Promise<void>) =>
    Array.from({ length: COUNTS[name] }, (_, n) => play(recorder.client(`${name}-${n}`)));

  const playing = Promise.all([
    ...several('lock', (one) => lockKeys(one, working)),
    ...several('lease', (one) => holdLeases(one, working)),
    ...several('call', (one) => makeCalls(one, budgets, working)),
    ...several('run', (one) => makeRuns(one, working)),
    decideApprovals(recorder.client('approver'), working),
    settleDoubts(recorder.client('settler'), ledger, working),
    turnSwitches(recorder.client('switcher'), working),
    lookAround(recorder.client('reader'), working),
  ]);
  return {
    caps: budgets.caps,
    /** Rejects as soon as one of them fails. */
    playing,
    /** Resolves when the last answer is in. */
    async stop(): Promise<void> {
      isWorking = false;
      await playing;
    },
  };
}
