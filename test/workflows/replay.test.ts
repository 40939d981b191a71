import { fileURLToPath } from 'node:url';
import { type ReplayHistoriesIterable, Worker } from '@temporalio/worker';
import { describe, expect, test } from 'vitest';
import { historyOf, recorded, textOf } from './histories.ts';

const codePath = fileURLToPath(new URL('../../dist/workflow-bundle.js', import.meta.url));
const names = await recorded();

/** Replays under the workflows as they now are; the names of those that could not go on, and why. */
async function strandedOf(histories: ReplayHistoriesIterable): Promise<string[]> {
  const stranded = [];
  const replays = Worker.runReplayHistories({ workflowBundle: { codePath } }, histories);
  for await (const { workflowId, error } of replays) if (error !== undefined) stranded.push(`${workflowId}: ${error}`);
  return stranded;
}

describe('a workflow that was begun by an earlier version', () => {
  test('goes on under this one, wherever it was', async () => {
    expect(names.length).toBeGreaterThanOrEqual(14);
    const histories = names.map(async (name) => ({ workflowId: name, history: await historyOf(name) }));
    expect(await strandedOf(await Promise.all(histories))).toEqual([]);
  });

  test('would be noticed if it could not', async () => {
    const history = await historyOf('lease-completed');
    const type = history.events[0]?.workflowExecutionStartedEventAttributes?.workflowType;
    expect(type?.name).toBe('lease');
    if (type) type.name = 'governedAction';
    expect(await strandedOf([{ workflowId: 'another', history }])).toHaveLength(1);
  });
});

test.each(names)('the recorded %s tells no secret and no place', async (name) => {
  const text = (await textOf(name)).replaceAll(
    /"([\w+/]{8,}={0,2})"/g,
    (whole, data: string) => whole + Buffer.from(data, 'base64'),
  );
  expect(text).toContain('"tenant"');
  expect(text).not.toMatch(/once_live_|secret|whsec_|\/(home|root|tmp|work|usr)\/|file:\/\/|\.[tj]s:\d/);
});
