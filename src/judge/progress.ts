import { readSync } from 'node:fs';
import type { Finding } from '../domain/condition/finding.ts';
import type { Asked } from './job.ts';

/** A policy has 50 conditions at the most; what comes behind this many is not followed one by one. */
const MAX_FOLLOWED = 256;
/** `began` and `cpu` (nanoseconds), the condition that is evaluated, and one byte for what each before it has said. */
const BYTES = 24 + MAX_FOLLOWED;
/** In the place of a condition: the schema of the tool, which comes before them all. */
export const SCHEMA = -1;
const saidCodes = { nothing: 0, holds: 1, fails: 2, error: 3 } as const;

export type Progress = ReturnType<typeof progressOn>;

/** Memory for a thread that tells how far it has come while it cannot answer, being busy. */
export const newProgress = (): SharedArrayBuffer => new SharedArrayBuffer(BYTES);

/** How far a thread has come with its job: it writes, whoever waits reads. */
export function progressOn(memory: SharedArrayBuffer) {
  const times = new BigInt64Array(memory, 0, 2);
  const at = new Int32Array(memory, 16, 1);
  const said = new Uint8Array(memory, 24);

  return {
    /** The clock begins to run, anew where it was running. `clock` is the thread's own (`Ready`). */
    begin(clock: number | undefined): void {
      Atomics.store(times, 1, processorNanos(clock) ?? -1n);
      Atomics.store(times, 0, process.hrtime.bigint());
      Atomics.store(at, 0, 0);
      said.fill(saidCodes.nothing);
    },

    end: (): void => void Atomics.store(times, 0, 0n),

    begins: (n: number): void => void Atomics.store(at, 0, n),

    found(n: number, { holds, error }: Finding): void {
      if (n < MAX_FOLLOWED)
        Atomics.store(said, n, saidCodes[error !== undefined ? 'error' : holds ? 'holds' : 'fails']);
    },

    /**
     * Milliseconds since the clock began: of the thread's processor time where the system tells, so that a busy machine denies no
     * honest call; undefined while it is idle.
     */
    used(clock: number | undefined): { readonly wallMs: number; readonly processorMs: number | undefined } | undefined {
      const began = Atomics.load(times, 0);
      if (began === 0n) return undefined;
      const before = Atomics.load(times, 1);
      const now = before < 0n ? undefined : processorNanos(clock);
      return {
        wallMs: Number(process.hrtime.bigint() - began) / 1e6,
        processorMs: now === undefined ? undefined : Number(now - before) / 1e6,
      };
    },

    /** Whether it was at the schema. */
    isAtSchema: (): boolean => Atomics.load(at, 0) === SCHEMA,

    /** What is known of conditions that were given up in the middle. */
    findings(conditions: readonly Asked[], why: string): Finding[] {
      const current = Atomics.load(at, 0);
      return conditions.map(({ name }, n): Finding => {
        const code = n < current && n < MAX_FOLLOWED ? Atomics.load(said, n) : saidCodes.nothing;
        if (code === saidCodes.holds || code === saidCodes.fails) return { name, holds: code === saidCodes.holds };
        if (code === saidCodes.error) return { name, holds: false, error: 'could not be evaluated' };
        return { name, holds: false, error: n === current ? why : 'not evaluated: another was given up', gaveUp: true };
      });
    },
  };
}

const line = Buffer.alloc(128);

/** What Linux counts for a thread (`/proc/thread-self/schedstat`: nanoseconds on a processor come first). */
function processorNanos(clock: number | undefined): bigint | undefined {
  if (clock === undefined) return undefined;
  try {
    const length = readSync(clock, line, 0, line.length, 0);
    const [nanos = ''] = line.toString('latin1', 0, length).split(' ');
    return /^\d+$/.test(nanos) ? BigInt(nanos) : undefined;
  } catch {
    return undefined;
  }
}
