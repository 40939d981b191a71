import { Worker } from 'node:worker_threads';
import type { Answer, GaveUp, Job, Ready } from './job.ts';
import { newProgress, progressOn } from './progress.ts';

/** Milliseconds of processor time that all conditions of a call may take. */
export const DEADLINE_MS = 50;
/** Milliseconds by the clock on the wall, where the machine is busy or does not tell processor time by thread. */
const MAX_WALL_MS = 500;
/**
 * What grows within a deadline stays far below this; it ends a thread that a blocked process cannot end in time. Smaller, one large
 * piece of memory could be refused, which V8 ends the whole process for.
 */
const MEMORY = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 };

/** The compiled entry, the same from `src/` and from `dist/src/`: Node 20 starts no thread of TypeScript. */
export const compiledEntry = new URL(
  import.meta.url.includes('/dist/') ? './thread.js' : '../../dist/src/judge/thread.js',
  import.meta.url,
);

export interface ThreadEvents {
  /** It has been started, once. */
  ready(): void;
  /** It can take a job. */
  free(): void;
  /** It takes none any more, before or after it could; `cause` where it ended by itself. Its memory is not given back before `gone`. */
  ended(cause?: unknown): void;
  gone(): void;
}

export type JudgingThread = ReturnType<typeof startThread>;

/** One thread that judges, and the deadline of what it is at. It holds no process open. */
export function startThread(entry: URL, events: ThreadEvents) {
  const memory = newProgress();
  const progress = progressOn(memory);
  // It evaluates what strangers have written: it gets no environment, and with it no secret.
  const worker = new Worker(entry, { workerData: { progress: memory }, resourceLimits: MEMORY, env: {}, execArgv: [] });
  worker.unref();
  let clock: number | undefined;
  let isReady = false;
  let isOver = false;
  let current: { job: Job; settle: (answer: Answer | GaveUp) => void } | undefined;
  let timer: NodeJS.Timeout | undefined;

  function answered(answer: Answer | GaveUp): void {
    const settle = current?.settle;
    clearTimeout(timer);
    current = undefined;
    settle?.(answer);
  }

  function end(why: GaveUp['why'], cause?: unknown): void {
    if (isOver) return;
    isOver = true;
    void worker.terminate();
    if (current !== undefined) answered(gaveUp(current.job, why));
    events.ended(cause);
  }

  function gaveUp(job: Job, why: GaveUp['why']): GaveUp {
    const text =
      why === 'time' ? `took longer than ${DEADLINE_MS} ms` : 'ended its thread, as what needs too much memory does';
    if (job.kind !== 'judge') return { kind: 'gaveUp', why, found: [], misfit: undefined };
    const misfit = progress.isAtSchema() ? `the tool's input_schema ${text}` : undefined;
    return { kind: 'gaveUp', why, found: progress.findings(job.conditions, text), misfit };
  }

  /** Looks whether the time is up, which is counted from when the thread began, not from when it was asked. */
  function look(): void {
    // Where nothing is told it has not begun yet, or has answered and was not heard.
    const { wallMs, processorMs = wallMs } = progress.used(clock) ?? { wallMs: 0 };
    if (processorMs >= DEADLINE_MS || wallMs >= MAX_WALL_MS) end('time');
    else watch(DEADLINE_MS - processorMs);
  }

  function watch(milliseconds: number): void {
    timer = setTimeout(look, Math.ceil(milliseconds));
  }

  worker.on('message', (message: Ready | Answer) => {
    if (isOver) return;
    if (message.kind === 'ready') {
      clock = message.clock;
      isReady = true;
      events.ready();
    } else answered(message);
    events.free();
  });
  worker.on('error', (error) => end('thread', error));
  worker.on('exit', (code) => {
    end('thread', new Error(`a judging thread ended with ${code}`));
    events.gone();
  });

  return {
    isFree: (): boolean => isReady && !isOver && current === undefined,
    isReady: (): boolean => isReady,

    /** Asks a free thread. It answers, or gives up when the deadline has passed, and is over then. */
    ask(job: Job, settle: (answer: Answer | GaveUp) => void): void {
      current = { job, settle };
      worker.postMessage(job);
      watch(DEADLINE_MS);
    },

    end: () => end('thread'),
  };
}
