import { proxyActivities } from '@temporalio/workflow';
import type { PlainActivities } from './activities.ts';

const { checkPolicy, reserveBudget, callTool, recordOutcome } = proxyActivities<PlainActivities>({
  startToCloseTimeout: '30s',
});

/** The least that a workflow can be. */
export async function noop(): Promise<void> {}

/** A governed call as one would write it at first: four regular activities, one after the other. */
export async function plainAction(call: { agent: string; invoice: string }): Promise<unknown> {
  const verdict = await checkPolicy(call);
  if (!verdict.allowed) return { decision: 'blocked' };
  await reserveBudget(call);
  const result = await callTool(call);
  await recordOutcome(call, result);
  return { decision: 'executed', result };
}
