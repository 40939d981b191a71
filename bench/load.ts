/** What a closed loop of callers measured. */
export interface Measured {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly done: number;
}

export interface Load {
  /** Callers, each of which calls again as soon as it was answered. */
  readonly concurrency: number;
  readonly seconds: number;
}

/** Runs a call in closed loops. A call that fails ends the run. */
export async function measure(call: () => Promise<void>, { concurrency, seconds }: Load): Promise<Measured> {
  const latencies: number[] = [];
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  const caller = async () => {
    while (performance.now() < until) {
      const calledAt = performance.now();
      await call();
      latencies.push(performance.now() - calledAt);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { perSecond: latencies.length / elapsedSeconds, p50: at(0.5), p99: at(0.99), done: latencies.length };
}

/** The middle one of several measurements, by throughput. */
export function median(rounds: readonly Measured[]): Measured {
  const sorted = [...rounds].sort((a, b) => a.perSecond - b.perSecond);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}
