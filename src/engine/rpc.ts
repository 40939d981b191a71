import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { Refusal } from '../contracts/errors.ts';
import { asUnavailable, isWorthRepeating } from './faults.ts';

/** How long one question to Temporal may take, its repeats included, before the request gets its 503. */
const READ_TIMEOUT_MS = 4_000;
/** About a second in all: long enough to outlive a failover, and a caller hears of an outage before its own patience ends. */
export const PAUSES_MS = [100, 300, 600] as const;

/**
 * Asks Temporal something that changes nothing, or nothing more when it is asked twice: with a deadline, and again after what
 * passes. Every call of this product goes through here or through a start (`start.ts`).
 *
 * @throws {Refusal} `unavailable` while Temporal cannot be reached; else what Temporal says.
 */
export async function read<T>(client: Client, ask: () => Promise<T>, timeoutMs = READ_TIMEOUT_MS): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (let n = 0; ; n += 1) {
    try {
      return await client.connection.withDeadline(deadline, ask);
    } catch (error) {
      const pause = PAUSES_MS[n];
      if (pause === undefined || Date.now() + pause >= deadline || !isWorthRepeating(error)) throw asUnavailable(error);
      await sleep(pause);
    }
  }
}

/** How long a nudge may take: nobody waits for it. */
const NUDGE_TIMEOUT_MS = 2_000;

/**
 * Tells a workflow that its row has changed. Whether it hears of it or not, it finds out: at its next look, or when the
 * reconciler comes round. Says whether Temporal could be reached.
 */
export const nudge = (client: Client, tell: () => Promise<unknown>): Promise<boolean> =>
  read(client, tell, NUDGE_TIMEOUT_MS).then(
    () => true,
    (error: unknown) => !(error instanceof Refusal),
  );
