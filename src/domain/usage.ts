import type { Meter, MeterName } from '../contracts/usage.ts';

/** What is counted, a UTC day and tenant. Each request counts once, as what it came to; an action in doubt once resolved. */
export const usageKinds = [
  'locks_created',
  'locks_repeated', // locked again, for the same owner
  'duplicates',
  'locks_over_limit', // refused because of the plan
  'ai_acquired',
  'ai_polling',
  'ai_completed', // leases that ended; no requests of their own
  'ai_failed', // by their holder, or because their time ran out
  'ai_runs', // governed calls that were executed
  'ai_unsuccessful', // governed calls that failed, unknown tools included
  'ai_blocked', // governed calls that a policy or the kill switch refused
  'ai_repeats', // governed calls that were answered by another's outcome
  'ai_over_limit',
  'rate_limited',
] as const;
export type UsageKind = (typeof usageKinds)[number];
export type Counts = Partial<Record<UsageKind, number>>;

interface Composition {
  readonly requests: readonly UsageKind[];
  /** What the plan's limit is about. */
  readonly charged: readonly UsageKind[];
  readonly polling: readonly UsageKind[];
  readonly refused: readonly UsageKind[];
}

/** The two meters of the contract (section 9): check-lock is `make`, leases and governed calls are `ai`. */
export const meters: Readonly<Record<MeterName, Composition>> = {
  make: {
    requests: ['locks_created', 'locks_repeated', 'duplicates', 'locks_over_limit'],
    charged: ['duplicates'],
    polling: [],
    refused: ['locks_over_limit'],
  },
  ai: {
    requests: ['ai_acquired', 'ai_polling', 'ai_runs', 'ai_unsuccessful', 'ai_blocked', 'ai_repeats', 'ai_over_limit'],
    charged: ['ai_acquired', 'ai_runs'],
    polling: ['ai_polling'],
    refused: ['ai_over_limit'],
  },
};

export const sum = (counts: Counts, kinds: readonly UsageKind[]): number =>
  kinds.reduce((total, kind) => total + (counts[kind] ?? 0), 0);

/** What a meter shows of a month's counts; `limit` is null where there is none. */
export const read = (name: MeterName, counts: Counts, limit: number | null): Meter => {
  const { requests, charged, polling, refused } = meters[name];
  return {
    usage: sum(counts, charged),
    limit,
    requests_total_month: sum(counts, requests),
    blocked_total_month: sum(counts, refused),
    charged_total_month: sum(counts, charged),
    polling_total_month: sum(counts, polling),
  };
};

/** Every request that was counted, of both meters. */
export const requestsIn = (counts: Counts): number => sum(counts, [...meters.make.requests, ...meters.ai.requests]);
