import { randomUUID } from 'node:crypto';
import { defaultPayloadConverter } from '@temporalio/common';
import type { Call } from './load.ts';
import type { Post, Scene } from './scene.ts';

/** A run's keys are its own, so that nothing is found that was left before. */
const run = randomUUID();
/** Longer than a row and the wait behind it would take. */
const TAKEN_SECONDS = 3600;

function expect(body: Record<string, unknown>, field: string, value: unknown): void {
  if (body[field] !== value) throw new Error(`expected ${field} ${value}, got ${JSON.stringify(body)}`);
}

const chargeBy = (agent: string, tool = 'charge') => ({ agent_id: agent, tool, args: { invoice: randomUUID() } });

/** What is asked of the product, one call each. */
export const callsOf = ({ post }: Pick<Scene, 'post'>) => ({
  action: async () => expect(await post('/v1/ai/run', chargeBy('bench')), 'decision', 'executed'),
  blockedTool: async () =>
    expect(await post('/v1/ai/run', chargeBy('bench-blocked')), 'policy_reason', 'tool_explicitly_blocked'),
  disabledAgent: async () =>
    expect(await post('/v1/ai/run', chargeBy('bench-disabled')), 'policy_reason', 'agent_disabled'),
  unknownTool: async () => {
    await post('/v1/ai/run', chargeBy('bench', 'nowhere'), 404);
  },
  /** The first of these is made, all others are told what it led to. */
  replay: async () => {
    const call = { agent_id: 'bench', tool: 'charge', args: { invoice: run }, idempotency_key: run };
    expect(await post('/v1/ai/run', call), 'ok', true);
  },
  lease: async () => {
    const key = randomUUID();
    const { lease_id } = await post('/v1/ai/lease', { key, ttl: 60 });
    expect(await post('/v1/ai/complete', { key, lease_id }), 'ok', true);
  },
  lock: (ttl: number) => async () =>
    expect(await post('/v1/check-lock', { key: randomUUID(), ttl }), 'status', 'locked'),
});

const taken = { key: `${run}/taken`, ttl: TAKEN_SECONDS };

export const takeOnce = async (post: Post): Promise<void> =>
  expect(await post('/v1/check-lock', taken), 'status', 'locked');

export const duplicate =
  (post: Post): Call =>
  async () =>
    expect(await post('/v1/check-lock', taken), 'status', 'duplicate');

/** The same without us. */
export const plainCallsOf = ({ client, dbos }: Pick<Scene, 'client' | 'dbos'>) => {
  const execute = async (type: string, args: unknown[]) => {
    await client.workflow.execute(type, {
      taskQueue: 'bench-baseline',
      workflowId: `${type}-${randomUUID()}`,
      args,
    });
  };
  return {
    noop: () => execute('noop', []),
    plainAction: () => execute('plainAction', [{ agent: 'bench', invoice: randomUUID() }]),
    dbos: async () => expect(await dbos('/run', { agent: 'bench', invoice: randomUUID() }), 'decision', 'executed'),
    lock: (ttl: number) => async () => {
      const id = `bare-${randomUUID()}`;
      await client.workflowService.startWorkflowExecution({
        namespace: 'default',
        workflowId: id,
        requestId: id,
        workflowType: { name: 'checkLock' },
        taskQueue: { name: 'bench-none' },
        input: { payloads: [defaultPayloadConverter.toPayload({ tenant: 'default', key: id, ttl })] },
        workflowExecutionTimeout: { seconds: ttl as never },
        workflowStartDelay: { seconds: (ttl + 3600) as never },
      });
    },
  };
};
