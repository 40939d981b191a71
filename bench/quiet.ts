import { setTimeout as sleep } from 'node:timers/promises';
import { between, type Usage } from './cpu.ts';
import type { Scene } from './scene.ts';

/** Two seconds in a row of no more than this many times what idle processes need. */
const IDLE_TIMES = 1.5;
const IDLE_SLACK_MS = 40;
const LONGEST_WAIT_SECONDS = 150;

const allBut = (usage: Usage, apart: string): number =>
  Object.entries(usage).reduce((sum, [name, used]) => (name === apart ? sum : sum + used), 0);

/** CPU milliseconds that each process uses in a second in which nothing is asked. */
export async function idleUsage({ usage }: Pick<Scene, 'usage'>): Promise<Usage> {
  const SECONDS = 4;
  const before = await usage();
  await sleep(SECONDS * 1000);
  return Object.fromEntries(
    Object.entries(between(before, await usage())).map(([name, used]) => [name, used / SECONDS]),
  );
}

export const openLocks = async ({ client }: Pick<Scene, 'client'>): Promise<number> =>
  (await client.workflow.count("WorkflowType = 'checkLock' and ExecutionStatus = 'Running'")).count;

/**
 * Waits until the locks of the row before have ended, and no process works on what it has left behind. Whether it became so:
 * a machine that others use too tells CPU all the same, since only our own processes are looked at.
 */
export async function untilQuiet(scene: Pick<Scene, 'usage' | 'client'>, idle: Usage): Promise<boolean> {
  const enough = allBut(idle, 'load') * IDLE_TIMES + IDLE_SLACK_MS;
  const deadline = performance.now() + LONGEST_WAIT_SECONDS * 1000;
  while ((await openLocks(scene)) > 0) {
    if (performance.now() > deadline) return false;
    await sleep(1_000);
  }
  for (let quietSeconds = 0; quietSeconds < 2; ) {
    if (performance.now() > deadline) return false;
    const before = await scene.usage();
    await sleep(1_000);
    quietSeconds = allBut(between(before, await scene.usage()), 'load') <= enough ? quietSeconds + 1 : 0;
  }
  return true;
}
