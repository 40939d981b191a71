import { setTimeout as sleep } from 'node:timers/promises';

/** How long the slower and the slowest of the calls took, in milliseconds. */
export interface Latencies {
  readonly p50: number;
  readonly p99: number;
}

/** What a closed loop of callers measured. */
export interface Measured extends Latencies {
  readonly perSecond: number;
  readonly done: number;
  /** Calls that were answered otherwise than they were to be; 0 unless the load says that it goes on then. */
  readonly refused: number;
}

/** What calls that arrive on a schedule measured. */
export interface Arrived extends Latencies {
  /** Arrivals a second. */
  readonly rate: number;
}

export type Call = () => Promise<void>;

export interface Load {
  /** Callers, each of which calls again as soon as it was answered. */
  readonly concurrency: number;
  readonly seconds: number;
  /** Ends the run before its time is over. */
  readonly calls?: number;
  /** Goes on where a call fails, and counts it. */
  readonly refusable?: boolean;
}

/** Runs a call in closed loops. A call that fails ends the run, unless it is one in which some may. */
export async function measure(call: Call, load: Load): Promise<Measured> {
  const { concurrency, seconds, calls = Number.POSITIVE_INFINITY, refusable = false } = load;
  let refused = 0;
  const made = (): Promise<boolean> =>
    call().then(
      () => true,
      (error: unknown) => {
        if (!refusable) throw error;
        refused += 1;
        return false;
      },
    );
  const latencies: number[] = [];
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  let begun = 0;
  const caller = async () => {
    while (performance.now() < until && begun < calls) {
      begun += 1;
      const calledAt = performance.now();
      if (await made()) latencies.push(performance.now() - calledAt);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  const done = latencies.length;
  return { perSecond: done / elapsedSeconds, done, refused, ...latenciesOf(latencies) };
}

/**
 * Calls at moments of a schedule, whether or not those before were answered. A call's time counts from its moment, so that what it
 * waited for counts too: a closed loop asks less as soon as it is answered late, and never sees a queue.
 */
export async function arrive(call: Call, rate: number, seconds: number): Promise<Arrived> {
  const latencies: number[] = [];
  const answers: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let n = 0; n < rate * seconds; n += 1) {
    const due = startedAt + (n * 1000) / rate;
    const early = due - performance.now();
    if (early > 0) await sleep(early);
    answers.push(call().then(() => void latencies.push(performance.now() - due)));
  }
  await Promise.all(answers);
  return { rate, ...latenciesOf(latencies) };
}

function latenciesOf(latencies: number[]): Latencies {
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

/** The middle one of several measurements, by a figure of theirs. */
export function median<T>(rounds: readonly T[], figure: (round: T) => number): T {
  const sorted = [...rounds].sort((a, b) => figure(a) - figure(b));
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}
