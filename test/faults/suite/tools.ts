import { z } from 'zod';
import type { Behaviour, Receiver, Reply } from '../../../src/dev/receiver.ts';
import type { Received } from './history.ts';
import { hashOf } from './numbers.ts';

/** The books of all tools: what each of them did, and when. */
export interface Ledger {
  readonly received: readonly Received[];
  /** Whether the work of an action was done. From a `not_executed` on it never will be: who asks may rely on it. */
  truthOf(idempotencyKey: string): 'executed' | 'not_executed';
}

export interface Tools {
  readonly ledger: Ledger;
  /** The registration of a tool as REST takes it; its address is behind `base`, the proxy of the receivers. */
  registration(name: ToolName, base: string): Record<string, unknown>;
}

/** What a tool makes of a call: whether it does the work, after how many milliseconds, and how it answers. */
interface Act {
  readonly does: boolean;
  readonly reply: Reply;
  readonly lateMs?: number;
}

/** A call as a tool judges it. `unlucky`: its intent is one of the third that meet what is the matter with the tool: a circuit opens at half. */
interface Case {
  readonly unlucky: boolean;
  readonly attempt: number;
  /** Decides between two ways, by the intent. */
  readonly odd: boolean;
}

interface Kind {
  readonly idempotent?: true;
  /** Has a `status_url`. */
  readonly tells?: true;
  /** What an idempotent tool answers to a repeat, instead of the first answer. */
  readonly again?: Reply;
  act(call: Case): Act;
}

const fine: Act = { does: true, reply: {} };
const nothing = (status: number, headers: Record<string, string> = {}): Act => ({
  does: false,
  reply: { status, headers, body: { error: `status ${status}` } },
});
const unheard = (hangUp: 'before_answer' | 'mid_body'): Act => ({ does: true, reply: { hangUp } });

const kinds = {
  // These may not be called twice.
  charge: { act: () => fine },
  ask: { act: () => fine },
  slow: { act: ({ unlucky }) => ({ ...fine, lateMs: unlucky ? 700 : 200 }) },
  mute: { act: ({ unlucky, odd }) => (unlucky ? unheard(odd ? 'mid_body' : 'before_answer') : fine) },
  witness: { tells: true, act: ({ unlucky }) => (unlucky ? unheard('before_answer') : fine) },
  gateway: { act: ({ unlucky }) => (unlucky ? { does: true, reply: { status: 502, body: {} } } : fine) },
  refuse: { act: ({ unlucky }) => (unlucky ? nothing(400) : fine) },
  crash: { act: ({ unlucky }) => (unlucky ? nothing(500) : fine) },
  busy: {
    act: ({ unlucky, odd, attempt }) =>
      unlucky && attempt === 1 ? nothing(odd ? 429 : 503, { 'retry-after': '1' }) : fine,
  },
  // These know a repeat by its key.
  repeat: {
    idempotent: true,
    act: ({ unlucky, attempt }) => (unlucky && attempt === 1 ? unheard('before_answer') : fine),
  },
  flaky: {
    idempotent: true,
    act: ({ unlucky, odd, attempt }) => (unlucky && attempt === 1 ? nothing(odd ? 500 : 503) : fine),
  },
  once: {
    idempotent: true,
    again: { status: 409, body: { error: 'already processed' } },
    act: ({ unlucky }) => (unlucky ? unheard('before_answer') : fine),
  },
} as const satisfies Record<string, Kind>;
export type ToolName = keyof typeof kinds;
export const toolNames = Object.keys(kinds) as [ToolName, ...ToolName[]];

const Envelope = z.object({
  action_id: z.string(),
  agent_id: z.string(),
  args: z.object({ intent: z.string(), usd: z.number() }),
});

const TIMEOUT_MS = 4_000;

/** Sets the tools up on a receiver. What a tool does with an intent is decided by the intent's name alone. */
export function createTools(receiver: Receiver, secret: string): Tools {
  const received: Received[] = [];
  const done = new Map<string, { charge: string }>();
  const refusedForEver = new Set<string>();
  const attempts = new Map<string, number>();

  const truthOf = (key: string) => {
    if (done.has(key)) return 'executed';
    refusedForEver.add(key);
    return 'not_executed';
  };

  async function work(tool: Kind, key: string, intent: string): Promise<[Received['did'], Reply]> {
    const attempt = (attempts.get(key) ?? 0) + 1;
    attempts.set(key, attempt);
    const hash = hashOf(intent);
    const known = done.get(key);
    if (known !== undefined && tool.idempotent) return ['again', tool.again ?? { body: known }];
    const { does, reply, lateMs = 0 } = tool.act({ attempt, unlucky: hash % 3 === 0, odd: hash % 6 === 0 });
    if (lateMs > 0) await new Promise((resolve) => setTimeout(resolve, lateMs));
    if (refusedForEver.has(key))
      return ['nothing', { status: 409, body: { error: 'was told that this was not done' } }];
    if (!does) return ['nothing', reply];
    const charge = { charge: `ch_${received.length}` };
    done.set(key, charge);
    return ['effect', reply.status === undefined ? { ...reply, body: charge } : reply];
  }

  const behaviour =
    (tool: ToolName): Behaviour =>
    async (call) => {
      const { action_id, agent_id, args } = Envelope.parse(call.body);
      const key = call.idempotencyKey;
      const [did, reply] = await work(kinds[tool], key, args.intent);
      received.push({
        ...{ at: Date.now(), tool, idempotencyKey: key, webhookId: call.webhookId, actionId: action_id },
        ...{ agent: agent_id, fence: call.fence, intent: args.intent, usd: args.usd },
        ...{ did, answered: reply.hangUp ?? String(reply.status ?? 200) },
      });
      return reply;
    };

  for (const tool of toolNames) receiver.endpoint(`/${tool}`, behaviour(tool));
  receiver.endpoint('/truth', ({ query: { idempotency_key: key = '' } }) => {
    const status = truthOf(key);
    return { body: { status, ...(status === 'executed' && { result: done.get(key) }) } };
  });

  return {
    ledger: { received, truthOf },
    registration(name, base) {
      const { idempotent, tells }: Kind = kinds[name];
      const auth = { type: 'hmac_sha256', secret };
      const rules = { timeout_ms: TIMEOUT_MS, max_retries: 3, dedup_ttl: 86_400 };
      const knows = { ...(idempotent && { idempotent }), ...(tells && { status_url: `${base}/truth` }) };
      return { name, url: `${base}/${name}`, auth, ...rules, ...knows };
    },
  };
}
