import type { Client } from '../recorder.ts';
import { type ToolName, toolNames } from '../tools.ts';
import { look } from './keys.ts';

/** Runs of several actions under one key; some are gone on with after a failure, some are cancelled by their holder. */
export async function makeRuns(client: Client, working: () => boolean): Promise<void> {
  const { numbers } = client;
  const tools = toolNames.filter((tool) => tool !== 'ask') as [ToolName, ...ToolName[]];
  for (let n = 0; working(); n += 1) {
    const key = `run/${client.name}/${n}`;
    const actions = Array.from({ length: numbers.between(1, 4) }, (_, place) => {
      const usd = numbers.below(3);
      return { tool: numbers.pick(tools), args: { intent: `${key}#${place}`, usd }, spend_usd: usd };
    });
    const plan = { goesOn: numbers.chance(60), cancels: numbers.chance(10), looks: numbers.between(5, 25) };
    const start = (retryFailed: boolean) =>
      client.insist(
        { op: 'run', subject: key, owner: `${key}/${retryFailed}`, retryFailed, ttl: 15 },
        {
          path: '/v1/ai/run',
          json: {
            ...{ key, ttl: 15, owner: `${key}/${retryFailed}`, metadata: { agent_id: 'runner', actions } },
            ...(retryFailed && { retry_failed: true }),
          },
        },
      );
    const { lease_id: leaseId } = (await start(false)).body;
    if (plan.cancels && typeof leaseId === 'string') {
      const about = { op: 'cancel', subject: key, leaseId } as const;
      await client.insist(about, { path: '/v1/ai/cancel', json: { key, lease_id: leaseId } });
    }
    if ((await end(client, key, plan.looks)) === 'failed' && plan.goesOn && working()) {
      await start(true);
      await end(client, key, plan.looks);
    }
    await client.pause(100, 500);
  }
}

/** Looks until the run is over, or its caller has looked often enough. */
async function end(client: Client, key: string, looks: number): Promise<string | undefined> {
  for (let looked = 0; looked < looks; looked += 1) {
    await client.pause(200, 500);
    const { body } = await look(client, key, 'status');
    if (body.status === 'completed' || body.status === 'failed') return body.status;
  }
  await look(client, key, 'result');
  return undefined;
}
