import { z } from 'zod';

/** What is kept of a body of the API: the members that any check looks at, each absent where it is not of its kind. */
const Body = z.object({
  ok: z.boolean().optional().catch(undefined),
  status: z.string().optional().catch(undefined),
  decision: z.string().optional().catch(undefined),
  policy_reason: z.string().optional().catch(undefined),
  action_id: z.string().optional().catch(undefined),
  spend_usd: z.number().optional().catch(undefined),
  result: z.record(z.string(), z.unknown()).nullish().catch(undefined),
  lease_id: z.string().nullish().catch(undefined),
  fence: z.number().nullish().catch(undefined),
  error_code: z.string().nullish().catch(undefined),
  is_enabled: z.boolean().optional().catch(undefined),
  total_spend_usd: z.number().optional().catch(undefined),
  usage: z.number().optional().catch(undefined),
  today: z.object({ held_usd: z.number().optional(), spent_usd: z.number().optional() }).optional().catch(undefined),
});
export type Body = z.output<typeof Body>;

const Refused = z.object({ detail: z.object({ error: z.string() }) });

/** Reads a body, and the code in it where it is a refusal. */
export function readBody(json: unknown): { body: Body; error: string | undefined } {
  const refused = Refused.safeParse(json);
  const body = Body.safeParse(json);
  return {
    body: body.success ? body.data : {},
    error: refused.success ? refused.data.detail.error : undefined,
  };
}

/** What a request was about to bring about. A `status`, an `action` and a `read` bring about nothing. */
export type Op =
  | 'check-lock'
  | 'lease'
  | 'extend'
  | 'complete'
  | 'fail'
  | 'cancel'
  | 'status'
  | 'call'
  | 'action'
  | 'run'
  | 'approve'
  | 'deny'
  | 'resolve'
  | 'disable'
  | 'enable'
  | 'policy'
  | 'read';

/** One request of a client and what came of it. Times are unix milliseconds of one clock, that of the receivers too. */
export interface Exchange {
  readonly client: string;
  readonly op: Op;
  /** The key of a lock, a lease or a run; the intent of a call; the id of an approval or an action; the agent of a switch. */
  readonly subject: string;
  /** The same wherever the same party asks again: a lock's or a lease's owner. Absent: this request stands for itself. */
  readonly owner?: string;
  readonly agent?: string;
  readonly leaseId?: string;
  /** Seconds that a lock or a lease was asked for. */
  readonly ttl?: number;
  readonly retryFailed?: boolean;
  /** Dollars that a call is to spend. */
  readonly usd?: number;
  /** A call came with a key of its own, not one that is derived from what it asks for. */
  readonly explicit?: boolean;
  /** What a holder says that came of its work, or an operator of an action. */
  readonly said?: string;
  readonly sentAt: number;
  /** When the answer was whole; for a lost one when that was noticed. */
  readonly endedAt: number;
  /** Absent: the answer was lost, for `lost`. */
  readonly status?: number;
  readonly lost?: string;
  readonly body: Body;
  /** The code of a refusal. */
  readonly error?: string;
  readonly retryAfter?: string;
}

/** A call as a receiver got it, and what it did. */
export interface Received {
  readonly at: number;
  readonly tool: string;
  readonly idempotencyKey: string;
  readonly webhookId: string;
  readonly actionId: string;
  readonly agent: string;
  readonly fence: number;
  /** What the client wanted, by the name it has in `Exchange.subject`; for a run `key#n`. */
  readonly intent: string;
  readonly usd: number;
  /** `effect`: the work was done, now. `again`: it had been done before, and this tool knows. `nothing`: refused, busy, broken. */
  readonly did: 'effect' | 'again' | 'nothing';
  readonly answered: string;
}

/** An action as REST shows it at the end. */
export interface ActionRead {
  readonly action_id: string;
  readonly workflow_id: string;
  readonly status: string;
  readonly agent_id: string;
  readonly tool: string;
  readonly spend_usd: number;
  readonly fence: number | null;
  readonly result?: unknown;
  readonly created_at: string;
  readonly attempts?: ReadonlyArray<{ readonly started_at: string }>;
}

/** A line of the trail as REST shows it at the end. `repeat`: it says again what another line has said, where that is told. */
export interface Line {
  readonly type: string;
  readonly key: string | null;
  readonly agent_id: string | null;
  readonly action_id: string | null;
  readonly decision: string | null;
  readonly repeat?: boolean | undefined;
}

export interface ApprovalRead {
  readonly id: string;
  readonly action_id: string;
  readonly status: string;
}

/** What was read when all was quiet. */
export interface FinalReads {
  readonly actions: readonly ActionRead[];
  /** Ids that were told and are in no list, and by which an action can be read all the same. */
  readonly alsoFound: readonly string[];
  readonly lines: readonly Line[];
  readonly approvals: readonly ApprovalRead[];
  /** Of each agent, the decisions in its log. Absent where the log was longer than may be read. */
  readonly logs: Readonly<Record<string, readonly { readonly decision: string; readonly action_id?: string }[]>>;
  /** Of each agent, the dollars that its metrics of the day tell. */
  readonly spent: Readonly<Record<string, number>>;
  /** Of each agent, the dollars it still holds, where the server tells. */
  readonly held: Readonly<Record<string, number>>;
  readonly usage: { readonly make: number; readonly ai: number } | undefined;
}

/** What an agent may do: dollars in a day of UTC, calls in an hour of it. */
export interface Cap {
  readonly usd?: number;
  readonly calls?: number;
}

/** All that was seen of an episode from outside. */
export interface History {
  /** Of the agents that have one. */
  readonly caps: Readonly<Record<string, Cap>>;
  readonly exchanges: readonly Exchange[];
  readonly received: readonly Received[];
  /** When everything ran again, nobody asked any more and nothing was under way: exchanges sent later are looks at what is there. */
  readonly quietAt: number;
  readonly reads: FinalReads;
}

/** What should not have been, by the name of the check that found it. */
export interface Violation {
  readonly invariant: string;
  /** What it is about. */
  readonly subject: string;
  readonly what: string;
}

export type Check = (history: History) => Violation[];

/** Nothing happened and nothing will: so the answer says. */
export function saysNothingHappened({ status, error, body }: Exchange): boolean {
  if (status === undefined) return false;
  if (status === 503) return error === 'unavailable';
  return (status >= 400 && status < 500) || body.decision === 'blocked';
}

/** A request without an answer may be under way for so long after its client has gone: held back, or in a process that stood still. */
const LATEST_MS = 30_000;

/** Whether a request may do its work after `moment`. */
export const mayComeAfter = ({ status, endedAt }: Exchange, moment: number): boolean =>
  (status === undefined ? endedAt + LATEST_MS : endedAt) > moment;

export const isOk = ({ status }: Exchange): boolean => status === 200 || status === 202;

export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string | undefined): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

/** An action of a run has the run's key before its own number. */
export const requestOf = (intent: string): string => intent.replace(/#\d+$/, '');

/** Dollars add up in cents of cents, not in floats. */
export const sumUsd = (items: readonly { readonly usd: number }[]): number =>
  items.reduce((micros, { usd }) => micros + Math.round(usd * 1e6), 0) / 1e6;

/** What requests of these kinds were about, each once. */
export const keysOf = (exchanges: readonly Exchange[], ops: readonly Op[]): string[] => [
  ...new Set(exchanges.filter(({ op }) => ops.includes(op)).map(({ subject }) => subject)),
];
