import { readFile } from 'node:fs/promises';
import { measure } from './load.ts';

/** Resident memory of a process in MiB (Linux: `/proc/<pid>/status`). */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

export interface MemoryReport {
  readonly minutes: number;
  readonly done: number;
  /** MiB: the mean of the minute after warm-up, of the last minute, and the highest seen. */
  readonly afterWarmUp: number;
  readonly atTheEnd: number;
  readonly highest: number;
}

const SAMPLE_MS = 1_000;
/** The first fifth of the run fills caches, pools and the JIT: it is not growth. */
const WARM_UP_SHARE = 0.2;

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** Watches a process under load. Flat means: the last minute needs no more than the one after warm-up. */
export async function watchMemory(pid: number, call: () => Promise<void>, minutes: number): Promise<MemoryReport> {
  const samples: number[] = [];
  const timer = setInterval(() => {
    residentMiB(pid).then(
      (value) => samples.push(value),
      () => undefined,
    );
  }, SAMPLE_MS);
  try {
    const { done } = await measure(call, { concurrency: 16, seconds: minutes * 60 });
    const warm = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
    return {
      minutes,
      done,
      afterWarmUp: mean(warm.slice(0, 60)),
      atTheEnd: mean(warm.slice(-60)),
      highest: Math.max(...samples),
    };
  } finally {
    clearInterval(timer);
  }
}

export const memoryLine = ({ minutes, done, afterWarmUp, atTheEnd, highest }: MemoryReport): string =>
  `API and worker (one process) over ${minutes} minutes and ${done} mixed calls: ${afterWarmUp.toFixed(0)} MiB after warm-up, ` +
  `${atTheEnd.toFixed(0)} MiB at the end (ratio ${(atTheEnd / afterWarmUp).toFixed(2)}), ${highest.toFixed(0)} MiB at the highest.`;
