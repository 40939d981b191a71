import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type ActionRecord, answerOf, asRepeat } from '../domain/action.ts';
import { isRefusedCall, type News, newsOf, type Outcome } from '../domain/outcome.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Bulletin } from '../store/bulletin.ts';

/** What travels between processes: names only, the answer itself is in the row. */
const Note = z.object({
  from: z.string(),
  workflow: z.string(),
  action: z.string(),
  /** The action whose outcome it is, where that is another's. */
  answered: z.string().optional(),
  code: z.string().optional(),
});

export interface OutcomeDeps {
  readonly bulletin: Bulletin;
  readonly metrics: Pick<Metrics, 'decided'>;
  readonly find: (tenant: string, actionId: string) => Promise<ActionRecord | undefined>;
}

/** Someone who waits for what becomes of a call. */
export interface Hearing {
  readonly tenant: string;
  readonly workflowId: string;
  /** The call that is waited for, once it is known. */
  expecting: string | undefined;
  /** Unix milliseconds at which nobody has told anything for so long that it is looked up. */
  lookAt: number;
  /**
   * The first news of the call that `wanted` takes, also one that came before this was asked; undefined when the deadline (unix
   * milliseconds) has passed or `signal` says that nobody waits any more.
   */
  until(
    actionId: string,
    wanted: (outcome: Outcome) => boolean,
    deadline: number,
    signal?: AbortSignal,
  ): Promise<Outcome | undefined>;
  close(): void;
}

interface Waiter extends Hearing {
  hear(news: News): void;
}

export type Outcomes = ReturnType<typeof createOutcomes>;

/**
 * Where the end of a call is told, and waited for: whoever settles it tells those who wait in this process directly, those in
 * others through PostgreSQL. Nobody relies on it: what is not heard is looked up (`look-up.ts`).
 */
export function createOutcomes({ bulletin, metrics, find }: OutcomeDeps) {
  const self = randomUUID();
  const waiting = new Map<string, Set<Waiter>>();
  const deliver = (news: News) => {
    for (const waiter of waiting.get(news.workflowId) ?? []) waiter.hear(news);
  };

  function tell(news: News): void {
    deliver(news);
    const { workflowId: workflow, actionId: action, outcome } = news;
    const what =
      outcome.kind === 'refused'
        ? { code: outcome.code }
        : outcome.answer.action_id === action
          ? {}
          : { answered: outcome.answer.action_id };
    bulletin.post(JSON.stringify({ from: self, workflow, action, ...what }));
  }

  async function hear(text: string): Promise<void> {
    const { data } = Note.safeParse(JSON.parse(text));
    if (data === undefined || data.from === self) return;
    const [first] = waiting.get(data.workflow) ?? [];
    if (first === undefined) return;
    const { workflow: workflowId, action: actionId, answered, code } = data;
    if (code !== undefined) {
      if (isRefusedCall(code)) deliver({ workflowId, actionId, outcome: { kind: 'refused', code } });
      return;
    }
    const row = await find(first.tenant, answered ?? actionId);
    if (row === undefined) return;
    const answer = answered === undefined ? answerOf(row) : asRepeat(answerOf(row));
    deliver({ workflowId, actionId, outcome: { kind: 'answer', answer } });
  }

  return {
    tell,

    /** An action has come to its end, or into doubt: counted, and told. */
    ended(action: ActionRecord): void {
      metrics.decided(answerOf(action).decision, action.policyReason);
      tell(newsOf(action));
    },

    /** Listens for what becomes of the calls of a workflow ID, from now on. */
    listen(tenant: string, workflowId: string): Hearing {
      const waiter = createWaiter(tenant, workflowId, () => {
        const others = waiting.get(workflowId);
        others?.delete(waiter);
        if (others?.size === 0) waiting.delete(workflowId);
      });
      const all = waiting.get(workflowId) ?? new Set<Waiter>();
      waiting.set(workflowId, all.add(waiter));
      return waiter;
    },

    /** Delivers what was found out otherwise. */
    deliver,

    /** Everyone who waits in this process. */
    *waiting(): Iterable<Hearing> {
      for (const waiters of waiting.values()) yield* waiters;
    },

    /** Hears what other processes tell, until it is stopped. */
    join: () => bulletin.listen((note) => void hear(note).catch(() => undefined)),
  };
}

const isPending = (outcome: Outcome): boolean => outcome.kind === 'answer' && outcome.answer.decision === 'pending';

/** How long after its start a wait is first looked after; the news is mostly there by then. */
const FIRST_LOOK_MS = 2_000;

function createWaiter(tenant: string, workflowId: string, close: () => void): Waiter {
  const heard: News[] = [];
  let wake: () => void = () => undefined;
  return {
    tenant,
    workflowId,
    expecting: undefined,
    lookAt: Date.now() + FIRST_LOOK_MS,
    hear(news) {
      // That it is still pending says nothing new, however often it is said.
      if (isPending(news.outcome) && heard.some(({ actionId }) => actionId === news.actionId)) return;
      heard.push(news);
      wake();
    },
    async until(actionId, wanted, deadline, signal) {
      this.expecting = actionId;
      let timer: NodeJS.Timeout | undefined;
      const onAbort = () => wake();
      signal?.addEventListener('abort', onAbort);
      try {
        for (;;) {
          const found = heard.find((news) => news.actionId === actionId && wanted(news.outcome));
          if (found !== undefined) return found.outcome;
          const left = deadline - Date.now();
          if (left <= 0 || signal?.aborted) return undefined;
          await new Promise<void>((resolve) => {
            wake = resolve;
            clearTimeout(timer);
            timer = setTimeout(resolve, left);
          });
        }
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      }
    },
    close,
  };
}
