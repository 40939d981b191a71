import { Refusal } from '../contracts/errors.ts';
import { createFairQueue } from './fair-queue.ts';
import type { Answer, GaveUp, Job } from './job.ts';
import { compiledEntry, type JudgingThread, startThread } from './worker-thread.ts';

const THREADS = 2;
const TOO_MANY = 'Too many conditions of this tenant wait to be judged: nothing happened and nothing will, try again';
/** Threads that have been ended and are not gone: what they are at cannot be interrupted. Beyond these no other is started. */
const MAX_LINGERING = 2;
/** Turns that one job gets to compile its conditions; a policy has 50 at the most, and each turn compiles one at the least. */
const MAX_TURNS = 64;

type Settled = Exclude<Answer, { kind: 'again' }> | GaveUp;

interface Waiting {
  readonly job: Job;
  turns: number;
  resolve(answer: Settled): void;
  reject(error: Error): void;
}

export type Threads = ReturnType<typeof createThreads>;

/**
 * A few threads that judge conditions, started when they are needed. Tenants take turns, and one tenant has one thread at the most:
 * whoever keeps a thread busy for its whole deadline, again and again, delays others by one deadline a turn at the worst.
 */
export function createThreads(entry: URL = compiledEntry) {
  const queue = createFairQueue<Waiting>();
  const threads = new Set<JudgingThread>();
  /** Whose job has cost a thread: its next turn comes when there is another, so that it does not take one after the other. */
  const owed = new Map<JudgingThread, string>();
  let lingering = 0;
  let isClosed = false;

  function serve(): void {
    for (const thread of threads) {
      if (!thread.isFree()) continue;
      const next = queue.take();
      if (next === undefined) return;
      const { tenant, job: waiting } = next;
      thread.ask(waiting.job, (answer) => {
        if (answer.kind === 'gaveUp') owed.set(thread, tenant);
        else queue.done(tenant);
        if (answer.kind !== 'again') return waiting.resolve(answer);
        waiting.turns += 1;
        if (waiting.turns < MAX_TURNS) queue.putBack(tenant, waiting);
        else waiting.resolve({ kind: 'gaveUp', why: 'time', found: [], misfit: undefined });
      });
    }
    // One at a time: the next may be free before another is warm.
    if (queue.isWaiting() && [...threads].every((thread) => thread.isReady())) start();
  }

  /** Starts a thread where there may be one more; `debtor` has its next turn once it is there, or cannot be. */
  function start(debtor?: string): void {
    const forgive = () => {
      if (debtor !== undefined) queue.done(debtor);
    };
    if (isClosed || threads.size >= THREADS || threads.size + lingering >= THREADS + MAX_LINGERING) {
      forgive();
      return;
    }
    const thread = startThread(entry, {
      ready: forgive,
      free: serve,
      ended(cause) {
        if (!thread.isReady()) forgive();
        threads.delete(thread);
        lingering += 1;
        const next = owed.get(thread);
        owed.delete(thread);
        // One that never came to work would not the next time either: whoever waits is told, and the next job tries again.
        if (!thread.isReady() && threads.size === 0) return refuseAll(cause);
        // At once, so that the next job finds it warm.
        start(next);
        serve();
      },
      gone() {
        lingering -= 1;
        serve();
      },
    });
    threads.add(thread);
  }

  function refuseAll(cause: unknown): void {
    for (const { reject } of queue.drain()) reject(new Refusal('unavailable', {}, cause));
  }

  return {
    /**
     * The answer to a job, once its tenant's turn has come.
     *
     * @throws {Refusal} `unavailable` where too many jobs of this tenant wait already, or no thread can be started.
     */
    ask: (tenant: string, job: Job): Promise<Settled> =>
      new Promise((resolve, reject) => {
        if (isClosed || !queue.put(tenant, { job, turns: 0, resolve, reject }))
          return reject(new Refusal('unavailable', { message: TOO_MANY }));
        serve();
      }),

    /** Ends every thread; what waits is refused. */
    close(): void {
      isClosed = true;
      for (const thread of [...threads]) thread.end();
      refuseAll(undefined);
    },
  };
}
