import { setTimeout as sleep } from 'node:timers/promises';
import { between, perOperation, type Usage } from './cpu.ts';
import { type Arrived, arrive, type Call, type Latencies, type Measured, measure, median } from './load.ts';
import { openLocks } from './quiet.ts';
import type { Contender, Row } from './rows.ts';
import type { Scene } from './scene.ts';

export interface Figures {
  readonly name: string;
  readonly process: Contender['process'];
  readonly goal?: number | undefined;
  readonly closed: Measured;
  /** CPU milliseconds an operation, by process. */
  readonly cpu: Usage;
  /** Calls that arrive on a schedule, at half of the closed loop's throughput. */
  readonly open?: Arrived | undefined;
}

export interface Result {
  readonly row: Row;
  readonly ours: Figures;
  readonly baselines: readonly Figures[];
}

export interface Effort {
  readonly seconds: number;
  readonly rounds: number;
  /** What processes use in a second in which nothing is asked. */
  readonly idle: Usage;
}

interface Round {
  readonly closed: Measured;
  readonly cpu: Usage;
}

const WARM_UP_SECONDS = 2;
/** What an answer leaves to be done (closing, counting, visibility) is charged to its round. */
const TAIL_MS = 500;
const OPEN_LOOP_SHARE = 0.5;

const spent = ({ cpu }: Round): number => Object.values(cpu).reduce((sum, used) => sum + used, 0);

/** All contenders take turns, each round in another order, so that they see the machine in the same state. The middle round counts. */
export async function compare(scene: Scene, row: Row, effort: Effort): Promise<Result> {
  await row.prepare?.();
  const contenders: readonly Contender[] = [{ name: 'ours', call: row.ours, process: 'product' }, ...row.baselines];
  const { concurrency } = row;
  for (const { call } of row.untilGone ? [] : contenders)
    await measure(call, { concurrency, seconds: WARM_UP_SECONDS });
  const rounds = new Map<Contender, Round[]>(contenders.map((one) => [one, []]));
  for (let n = 0; n < effort.rounds; n += 1) {
    for (const one of n % 2 === 0 ? contenders : contenders.toReversed()) {
      const made = row.untilGone
        ? await untilGone(scene, one.call, { concurrency, ...row.untilGone }, effort.idle)
        : await forSeconds(scene, one.call, { concurrency, seconds: effort.seconds });
      rounds.get(one)?.push(made);
    }
  }
  const [ours, ...baselines] = await inTurn(contenders, (one) => figuresOf(row, one, rounds.get(one) ?? [], effort));
  if (ours === undefined) throw new Error('nothing was measured');
  return { row, ours, baselines };
}

async function figuresOf(row: Row, one: Contender, rounds: readonly Round[], { seconds }: Effort): Promise<Figures> {
  const { closed } = median(rounds, (round) => round.closed.perSecond);
  const { cpu } = median(rounds, spent);
  const isPaced = row.concurrency > 1 && row.untilGone === undefined;
  const rate = Math.max(1, Math.round(closed.perSecond * OPEN_LOOP_SHARE));
  const open = isPaced ? await arrive(one.call, rate, seconds) : undefined;
  return { name: one.name, process: one.process, goal: one.goal, closed, cpu, open };
}

async function inTurn<T, R>(items: readonly T[], each: (item: T) => Promise<R>): Promise<R[]> {
  const made: R[] = [];
  for (const item of items) made.push(await each(item));
  return made;
}

async function forSeconds(
  { usage }: Scene,
  call: Call,
  load: { concurrency: number; seconds: number },
): Promise<Round> {
  const before = await usage();
  const closed = await measure(call, load);
  await sleep(TAIL_MS);
  return { closed, cpu: perOperation(between(before, await usage()), closed.done) };
}

/** Most of this is waiting: what idle processes need in that time is none of the locks' cost. */
async function untilGone(
  scene: Scene,
  call: Call,
  load: { concurrency: number; calls: number },
  idle: Usage,
): Promise<Round> {
  const startedAt = performance.now();
  const before = await scene.usage();
  const closed = await measure(call, { ...load, seconds: 60 });
  await sleep(TAIL_MS);
  while ((await openLocks(scene)) > 0) await sleep(1_000);
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  const inAll = between(before, await scene.usage());
  // Who asks has nothing to do while it waits.
  const above = Object.entries(inAll).map(
    ([name, used]) => [name, name === 'load' ? used : used - (idle[name] ?? 0) * elapsedSeconds] as const,
  );
  return { closed, cpu: perOperation(Object.fromEntries(above), closed.done) };
}

/** The same work by more and more callers. */
export interface Step extends Latencies {
  readonly concurrency: number;
  readonly perSecond: number;
  readonly done: number;
  readonly refused: number;
}

export const CONCURRENCIES = [1, 4, 16, 64, 256] as const;

export const sweep = (call: Call, seconds: number): Promise<Step[]> =>
  inTurn(CONCURRENCIES, async (concurrency) => {
    await measure(call, { concurrency, seconds: 1, refusable: true });
    // Every caller is to be answered some times.
    const measured = await measure(call, {
      concurrency,
      seconds: Math.max(seconds, concurrency / 32),
      refusable: true,
    });
    return { ...measured, concurrency };
  });
