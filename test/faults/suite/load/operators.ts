import { z } from 'zod';
import type { Client } from '../recorder.ts';
import type { Ledger } from '../tools.ts';
import { make } from './calls.ts';

const Approvals = z.array(z.object({ id: z.string(), action_id: z.string() }));
export const DoubtfulActions = z.object({
  items: z.array(z.object({ action_id: z.string(), tool: z.string(), created_at: z.string() })),
});

/** Decides what waits: mostly yes, sometimes no, sometimes a second time and otherwise. */
export async function decideApprovals(client: Client, working: () => boolean): Promise<void> {
  const { numbers } = client;
  while (working()) {
    const waiting = Approvals.safeParse(await client.read('/v1/approvals?status=pending'));
    for (const { id } of (waiting.data ?? []).slice(0, 5)) {
      const op = numbers.chance(75) ? 'approve' : 'deny';
      const again = numbers.chance(15);
      await decide(client, op, id);
      if (again) await decide(client, op === 'approve' ? 'deny' : 'approve', id);
    }
    await client.pause(300, 1_500);
  }
}

export const decide = (client: Client, op: 'approve' | 'deny', id: string) =>
  client.insist({ op, subject: id }, { path: `/v1/approvals/${id}/${op}`, json: { reason: 'looked at it' } });

/** Looks into the tool's books for what is in doubt, and says what is there; leaves some to the tool's own word. */
export async function settleDoubts(client: Client, ledger: Ledger, working: () => boolean): Promise<void> {
  const mayAnswerItself = new Set(['witness', 'repeat', 'flaky']);
  while (working()) {
    await client.pause(1_000, 3_000);
    const doubtful = DoubtfulActions.safeParse(await client.read('/v1/actions?status=in_doubt&limit=50'));
    const old = (doubtful.data?.items ?? []).filter(({ created_at }) => Date.now() - Date.parse(created_at) > 8_000);
    for (const { action_id, tool } of old.slice(0, 5)) {
      if (client.numbers.chance(mayAnswerItself.has(tool) ? 10 : 60)) await settle(client, ledger, action_id);
    }
  }
}

/** What the books say is true for ever: a call that is told not to have been made is refused if it comes yet. */
export function settle(client: Client, ledger: Ledger, actionId: string) {
  const outcome = ledger.truthOf(actionId);
  return client.insist(
    { op: 'resolve', subject: actionId, said: outcome },
    { path: `/v1/actions/${actionId}/resolve`, json: { outcome, reason: 'found in the books' } },
  );
}

/** Turns an agent off, tries to get past the switch, and turns it on again. */
export async function turnSwitches(client: Client, working: () => boolean): Promise<void> {
  const { numbers } = client;
  const turn = (op: 'disable' | 'enable', agent: string) =>
    client.insist({ op, subject: agent, agent }, { path: `/v1/agents/${agent}/${op}`, json: {} }, { tries: 60 });
  for (let n = 0; working(); n += 1) {
    await client.pause(1_500, 5_000);
    const agent = `switch-${numbers.below(2)}`;
    await turn('disable', agent);
    for (let tried = 0; tried < 2; tried += 1) {
      const intent = `${client.name}/${n}/${tried}`;
      await make(
        client,
        { intent, agent, tool: 'charge', usd: 1, explicit: numbers.chance(50), wait: 1 },
        { tries: 3 },
      );
    }
    await turn('enable', agent);
  }
}

/** Looks at what dashboards show. */
export async function lookAround(client: Client, working: () => boolean): Promise<void> {
  const paths = ['/v1/me', '/v1/tools', '/v1/runs', '/v1/agents/agent-0/logs', '/v1/audit?limit=20'] as const;
  while (working()) {
    const path = client.numbers.pick(paths);
    await client.ask({ op: 'read', subject: path }, { method: 'GET', path });
    await client.pause(100, 600);
  }
}
