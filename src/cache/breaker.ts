/**
 * Keeps callers from something that does not answer: each waits briefly, and after a few of them nobody asks for a while.
 *
 * | state | asks | ends by |
 * | --- | --- | --- |
 * | closed | everybody | some failures in a row: open |
 * | open | nobody | its time: probing, with the next who comes |
 * | probing | that one | its answer: closed; its failure: open |
 */
export interface Breaker {
  /**
   * Does it, or not.
   *
   * @throws {NotAsked} at once while open; `work`'s own failure; an error after `timeoutMs`. What `work` does after that is
   * not seen any more.
   */
  ask<T>(work: () => Promise<T>): Promise<T>;
  /** Closes: there is reason to think that it answers again. */
  close(): void;
}

export interface BreakerOptions {
  /** How long a caller waits at the most. */
  readonly timeoutMs: number;
  /** Failures in a row that open it. */
  readonly failures: number;
  /** How long it stays open. */
  readonly pauseMs: number;
  /** Told when it opens, and when an answer closes it. */
  readonly turned?: (answers: boolean) => void;
  /** Milliseconds of a clock that never steps. Default: `performance.now`. */
  readonly now?: () => number;
}

/** It was not asked, since it has not answered lately. */
export class NotAsked extends Error {
  override name = 'NotAsked';
}

/** Builds a {@link Breaker}, closed. */
export function createBreaker({
  timeoutMs,
  failures,
  pauseMs,
  turned = () => undefined,
  now = () => performance.now(),
}: BreakerOptions): Breaker {
  let failed = 0;
  let openUntil = 0;
  let isProbing = false;

  return {
    async ask(work) {
      const isProbe = failed >= failures;
      if (isProbe && (isProbing || now() < openUntil)) throw new NotAsked();
      isProbing = isProbe;
      try {
        const answer = await within(timeoutMs, work());
        if (failed >= failures) turned(true);
        failed = 0;
        return answer;
      } catch (error) {
        failed += 1;
        if (failed === failures) turned(false);
        openUntil = now() + pauseMs;
        throw error;
      } finally {
        if (isProbe) isProbing = false;
      }
    },
    close() {
      failed = 0;
    },
  };
}

/**
 * What comes in time. A process that was busy itself finds the time over before it has read what came: it is read first
 * (timers come before, immediates behind the reading in a turn of the event loop).
 */
function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => setImmediate(() => reject(new Error(`no answer within ${milliseconds} ms`)));
    const timer = setTimeout(late, milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
