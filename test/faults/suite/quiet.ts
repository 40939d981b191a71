import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Cap, type Exchange, keysOf, type Received } from './history.ts';
import { decide, settle } from './load/operators.ts';
import { Approvals, Page } from './reads.ts';
import type { Client } from './recorder.ts';
import type { Ledger } from './tools.ts';

/** A doubt about an idempotent tool is asked about after 15 s, and again later. */
const PATIENCE_MS = 180_000;
/** A call that was accepted may have no row yet: the worker that had it was lost, and is missed after 10 s. */
const STILL_MS = 12_000;
/** How long a tool may answer for itself before the operator does. */
const OWN_WORD_MS = 45_000;

/** What the clients did, as the operator who comes afterwards needs it. */
export interface Played {
  readonly exchanges: readonly Exchange[];
  readonly received: readonly Received[];
  readonly caps: Readonly<Record<string, Cap>>;
}

/**
 * Waits until nothing is under way any more, decides what is an operator's to decide, and answers since when it is quiet. What
 * does not end in time stays as it is: the checker sees it.
 */
export async function untilQuiet(operator: Client, ledger: Ledger, { exchanges }: Played): Promise<number> {
  const startedAt = Date.now();
  const isTime = () => Date.now() - startedAt < PATIENCE_MS;
  for (let stillSince = Date.now(); isTime() && Date.now() - stillSince < STILL_MS; await sleep(1_000)) {
    const isOpen = await settleOnce(operator, ledger, Date.now() - startedAt > OWN_WORD_MS);
    if (isOpen) stillSince = Date.now();
  }
  const keys = keysOf(exchanges, ['lease', 'run']);
  for (const key of keys) while (isTime() && (await isLeased(operator, key))) await sleep(500);
  return Date.now();
}

/** Whether anything is still open. */
async function settleOnce(operator: Client, ledger: Ledger, hasWaited: boolean): Promise<boolean> {
  let open = 0;
  for (const status of ['running', 'pending', 'waiting_approval', 'in_doubt']) {
    const page = Page.safeParse(await operator.read(`/v1/actions?status=${status}&limit=500`));
    if (!page.success) return true;
    open += page.data.items.length;
    if (status !== 'in_doubt') continue;
    for (const { action_id, tool } of page.data.items) {
      if (hasWaited || !['witness', 'repeat', 'flaky'].includes(String(tool)))
        await settle(operator, ledger, action_id);
    }
  }
  const waiting = Approvals.safeParse(await operator.read('/v1/approvals?status=pending'));
  for (const { id } of waiting.data ?? []) await decide(operator, 'deny', id);
  return open > 0;
}

async function isLeased(operator: Client, key: string): Promise<boolean> {
  const json = z
    .object({ status: z.string() })
    .safeParse(await operator.read(`/v1/ai/status?key=${encodeURIComponent(key)}`));
  return json.data?.status === 'in_progress';
}
