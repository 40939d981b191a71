import { callsOf, duplicate, plainCallsOf, takeOnce } from './calls.ts';
import type { Call } from './load.ts';
import type { Scene } from './scene.ts';

/** Who does the work of a row: the product, or what it is measured against. */
export interface Contender {
  readonly name: string;
  readonly call: Call;
  /** The process that does it, as `Scene.usage` names it. */
  readonly process: 'product' | 'worker' | 'dbos' | 'express' | 'load';
  /** The share of its throughput that the product is to reach; absent where it is told for comparison only. */
  readonly goal?: number;
}

export interface Row {
  readonly work: string;
  readonly ours: Call;
  readonly baselines: readonly Contender[];
  readonly concurrency: number;
  /** CPU milliseconds an operation, of all processes together, that it is to stay within. */
  readonly cpuGoal?: number;
  /** What it took before, in the same unit, on a machine like this one. */
  readonly cpuBefore?: number;
  /** Whether it is measured by more and more callers too. */
  readonly sweeps?: true;
  /** What has to be there first. */
  prepare?(): Promise<void>;
  /** Measures so many calls until nothing is left of them, in place of a time. */
  readonly untilGone?: { readonly calls: number };
}

const CALLERS = 32;
/** Longer than the rounds of a row, so that none ends while others are taken; the next row waits for their end. */
const LOCK_SECONDS = 60;
/** Locks that a round of the row takes whose end is measured too. */
const EXPIRING = 400;
const EXPIRING_SECONDS = 10;

/** The table of the design, and what each operation costs. Locks come late and duplicates last: what they leave would be in others' way. */
export function rowsOf(scene: Scene): Row[] {
  const ours = callsOf(scene);
  const plain = plainCallsOf(scene);
  const { bare, post } = scene;
  const alone = { baselines: [], concurrency: CALLERS };
  return [
    {
      work: 'governed action',
      ours: ours.action,
      concurrency: CALLERS,
      cpuGoal: 26,
      cpuBefore: 37,
      sweeps: true,
      baselines: [
        { name: 'a bare no-op workflow', call: plain.noop, process: 'worker', goal: 0.8 },
        { name: 'four regular activities, written plainly', call: plain.plainAction, process: 'worker', goal: 3 },
        { name: 'four DBOS steps behind Express', call: plain.dbos, process: 'dbos' },
      ],
    },
    {
      work: 'governed action, one caller',
      ours: ours.action,
      concurrency: 1,
      baselines: [
        { name: 'a bare no-op workflow, one caller', call: plain.noop, process: 'worker' },
        { name: 'four DBOS steps behind Express, one caller', call: plain.dbos, process: 'dbos' },
      ],
    },
    { ...alone, work: 'denied: blocked tool', ours: ours.blockedTool, cpuGoal: 3, cpuBefore: 38 },
    { ...alone, work: 'denied: disabled agent', ours: ours.disabledAgent, cpuGoal: 3, cpuBefore: 38 },
    { ...alone, work: 'refused: unknown tool', ours: ours.unknownTool, cpuGoal: 3, cpuBefore: 38 },
    { ...alone, work: 'remembered action', ours: ours.replay, cpuBefore: 1.8, prepare: ours.replay },
    { ...alone, work: 'lease acquired and completed', ours: ours.lease, cpuGoal: 28, cpuBefore: 56 },
    {
      work: 'new lock',
      ours: ours.lock(LOCK_SECONDS),
      concurrency: CALLERS,
      cpuBefore: 8.7,
      baselines: [{ name: 'bare StartWorkflowExecution', call: plain.lock(LOCK_SECONDS), process: 'load', goal: 0.9 }],
    },
    {
      ...alone,
      work: 'new lock, taken and expired',
      ours: ours.lock(EXPIRING_SECONDS),
      untilGone: { calls: EXPIRING },
      cpuBefore: 14.2,
    },
    {
      work: 'duplicate, audited',
      ours: duplicate(post),
      concurrency: CALLERS,
      cpuBefore: 0.5,
      async prepare() {
        await takeOnce(post);
        if (bare) await takeOnce(bare);
      },
      baselines: bare
        ? [{ name: 'bare Express + Redis SET NX', call: duplicate(bare), process: 'express', goal: 0.7 }]
        : [],
    },
  ];
}
