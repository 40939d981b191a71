import { randomUUID } from 'node:crypto';
import { defaultPayloadConverter } from '@temporalio/common';
import type { Scene } from './scene.ts';

/** One line of the table: what we do, what it is measured against, and the share of its throughput we want to reach. */
export interface Row {
  readonly work: string;
  readonly against: string;
  readonly goal: number;
  readonly concurrency: number;
  ours(): Promise<void>;
  baseline(): Promise<void>;
}

/** The rows of the design's table of speed. Keys are unique a run, so that nothing is found that was left before. */
export async function rowsOf({ post, bare, client }: Scene): Promise<Row[]> {
  const tag = randomUUID();
  const taken = { key: `${tag}/taken`, ttl: 3600 };
  await post('/v1/check-lock', taken);
  await bare?.('/v1/check-lock', taken);
  const expect = (body: Record<string, unknown>, field: string, value: unknown) => {
    if (body[field] !== value) throw new Error(`expected ${field} ${value}, got ${JSON.stringify(body)}`);
  };
  const action = async () => {
    const body = await post('/v1/ai/run', { agent_id: 'bench', tool: 'charge', args: { invoice: randomUUID() } });
    expect(body, 'decision', 'executed');
  };
  const bareLock = async () => {
    const id = `bare-${randomUUID()}`;
    await client.workflowService.startWorkflowExecution({
      namespace: 'default',
      workflowId: id,
      requestId: id,
      workflowType: { name: 'checkLock' },
      taskQueue: { name: 'bench-none' },
      input: { payloads: [defaultPayloadConverter.toPayload({ tenant: 'default', key: id, ttl: 60 })] },
      workflowExecutionTimeout: { seconds: 60 as never },
      workflowStartDelay: { seconds: 3660 as never },
    });
  };
  const execute = (type: string, args: unknown[]) => async () => {
    await client.workflow.execute(type, {
      taskQueue: 'bench-baseline',
      workflowId: `${type}-${randomUUID()}`,
      args,
    });
  };

  const rows: Row[] = [
    {
      work: 'new lock through REST',
      against: 'bare StartWorkflowExecution of the same workflow',
      goal: 0.9,
      concurrency: 32,
      ours: async () => expect(await post('/v1/check-lock', { key: randomUUID(), ttl: 60 }), 'status', 'locked'),
      baseline: bareLock,
    },
    {
      work: 'governed action through REST',
      against: 'a bare no-op workflow',
      goal: 0.6,
      concurrency: 32,
      ours: action,
      baseline: execute('noop', []),
    },
    {
      work: 'governed action through REST',
      against: 'the same steps as four regular activities, written plainly',
      goal: 3,
      concurrency: 32,
      ours: action,
      baseline: () => execute('plainAction', [{ agent: 'bench', invoice: randomUUID() }])(),
    },
  ];
  if (bare !== undefined) {
    rows.splice(1, 0, {
      work: 'duplicate through REST, audited',
      against: 'bare Express + Redis SET NX, nothing durable',
      goal: 0.6,
      concurrency: 32,
      ours: async () => expect(await post('/v1/check-lock', taken), 'status', 'duplicate'),
      baseline: async () => expect(await bare('/v1/check-lock', taken), 'status', 'duplicate'),
    });
  }
  return rows;
}
