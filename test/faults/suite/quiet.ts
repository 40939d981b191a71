import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import {
  type ActionRead,
  type Cap,
  type Exchange,
  type FinalReads,
  groupBy,
  type Received,
  sumUsd,
} from './history.ts';
import { make } from './load/calls.ts';
import { decide, settle } from './load/operators.ts';
import type { Client } from './recorder.ts';
import { type Ledger, toolNames } from './tools.ts';

/** A doubt about an idempotent tool is asked about after 15 s and again later; Temporal misses a worker after 10 s. */
const PATIENCE_MS = 180_000;
/** How long a tool may answer for itself before the operator does. */
const OWN_WORD_MS = 45_000;
/** A request whose client has gone may still take a lock for a while. */
const LOCK_GRACE_MS = 20_000;
const SAMPLE = 60;

const Page = z.object({
  items: z.array(z.looseObject({ action_id: z.string() })),
  next_cursor: z.string().nullable(),
});
const Action = z.looseObject({
  ...{ action_id: z.string(), workflow_id: z.string(), status: z.string(), agent_id: z.string(), tool: z.string() },
  ...{ spend_usd: z.number(), fence: z.number().nullable(), created_at: z.string() },
  attempts: z.array(z.looseObject({ started_at: z.string() })),
});
const Approvals = z.array(z.looseObject({ id: z.string(), action_id: z.string(), status: z.string() }));
const Lines = z.object({
  items: z.array(
    z.looseObject({
      ...{ type: z.string(), key: z.string().nullable(), agent_id: z.string().nullable() },
      ...{ action_id: z.string().nullable(), decision: z.string().nullable() },
      detail: z.looseObject({ repeat: z.boolean().optional() }).nullish(),
    }),
  ),
  next_cursor: z.string().nullable(),
});
const Logs = z.array(z.looseObject({ decision: z.string(), action_id: z.string().optional() }));
const Metrics = z.object({ total_spend_usd: z.number() });
const Agent = z.object({ today: z.object({ held_usd: z.number() }) });
const Usage = z.object({ make: z.object({ usage: z.number() }), ai: z.object({ usage: z.number() }) });

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
  while (isTime() && (await settleOnce(operator, ledger, Date.now() - startedAt > OWN_WORD_MS))) await sleep(1_000);
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

const keysOf = (exchanges: readonly Exchange[], ops: readonly string[]): string[] => [
  ...new Set(exchanges.filter(({ op }) => ops.includes(op)).map(({ subject }) => subject)),
];

/** Looks at all keys once more, asks for calls again, and tries whether what should be free is. These looks are exchanges too. */
export async function probe(operator: Client, { exchanges, received, caps }: Played): Promise<void> {
  const before = [...exchanges];
  for (const key of keysOf(before, ['lease', 'run'])) {
    for (const path of ['result', 'status']) {
      const ask = { method: 'GET', path: `/v1/ai/${path}?key=${encodeURIComponent(key)}` } as const;
      await operator.insist({ op: 'status', subject: key }, ask);
    }
  }
  await probeLocks(operator, before);
  await probeCaps(operator, received, caps);
  await askAgain(operator, before, received);
}

async function probeLocks(operator: Client, before: readonly Exchange[]): Promise<void> {
  const locks = groupBy(
    before.filter(({ op }) => op === 'check-lock'),
    ({ subject }) => subject,
  );
  const over = [...locks].filter(([, asked]) =>
    asked.every(({ ttl = 0, endedAt }) => endedAt + ttl * 1000 + LOCK_GRACE_MS < Date.now()),
  );
  for (const [key] of over.slice(-SAMPLE)) {
    const owner = `${operator.name}/${key}`;
    await operator.insist(
      { op: 'check-lock', subject: key, ttl: 10, owner },
      { path: '/v1/check-lock', json: { key, ttl: 10, owner } },
    );
  }
}

/** Asks for what is left of each cap. */
async function probeCaps(operator: Client, received: readonly Received[], caps: Played['caps']): Promise<void> {
  const effects = received.filter(({ did }) => did === 'effect');
  for (const [agent, cap] of Object.entries(caps)) {
    const usd = (cap.usd ?? 0) - sumUsd(effects.filter((effect) => effect.agent === agent));
    const hasRoom = cap.calls === undefined ? usd > 0 : (await countCalls(operator, agent)) < cap.calls;
    if (!hasRoom) continue;
    const call = {
      intent: `${operator.name}/${agent}`,
      agent,
      tool: 'charge',
      usd: Math.max(0, usd),
      explicit: true,
    } as const;
    await make(operator, call, { untilOver: true });
  }
}

/** What the server itself says that counts; where it cannot be asked, as many as there may be. */
async function countCalls(operator: Client, agent: string): Promise<number> {
  const page = Page.safeParse(await operator.read(`/v1/actions?agent_id=${agent}&limit=500`));
  return page.success ? page.data.items.filter(({ status }) => status !== 'blocked').length : Number.POSITIVE_INFINITY;
}

/** Asks for calls again that were done: the last whose callers know it, and the last whose callers never heard. */
async function askAgain(operator: Client, before: readonly Exchange[], received: readonly Received[]): Promise<void> {
  const done = new Map(received.filter(({ did }) => did === 'effect').map((effect) => [effect.intent, effect]));
  const calls = groupBy(
    before.filter(({ op, subject }) => op === 'call' && done.has(subject)),
    ({ subject }) => subject,
  );
  const isHeard = (asked: readonly Exchange[]) =>
    asked.some(({ body }) => body.ok === true && body.decision !== 'pending');
  const [heard, unheard] = [
    [...calls.values()].filter(isHeard),
    [...calls.values()].filter((asked) => !isHeard(asked)),
  ];
  for (const [first] of [...heard.slice(-SAMPLE), ...unheard.slice(-SAMPLE)]) {
    const tool = toolNames.find((name) => name === done.get(first?.subject ?? '')?.tool);
    if (first === undefined || tool === undefined) continue;
    const { subject: intent, agent = '', usd = 0, explicit } = first;
    await make(operator, { intent, agent, tool, usd, explicit: explicit === true });
  }
}

/** Reads what there is, all of it. */
export async function readAll(operator: Client, agents: readonly string[]): Promise<FinalReads> {
  const get = async <S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> => {
    for (let attempt = 1; ; attempt += 1) {
      const parsed = schema.safeParse(await operator.read(path));
      if (parsed.success) return parsed.data;
      if (attempt === 5) throw new Error(`${path} could not be read: ${parsed.error.message}`);
      await sleep(500);
    }
  };
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: z.output<typeof Page> = await get(`/v1/actions?limit=500${after(cursor)}`, Page);
    ids.push(...page.items.map(({ action_id }) => action_id));
    cursor = page.next_cursor;
  }
  const actions = await inParallel(8, ids, (id): Promise<ActionRead> => get(`/v1/actions/${id}`, Action));
  const lines: FinalReads['lines'][number][] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: z.output<typeof Lines> = await get(`/v1/audit?limit=1000${after(cursor)}`, Lines);
    lines.push(
      ...page.items.map(({ type, key, agent_id, action_id, decision, detail }) => ({
        ...{ type, key, agent_id, action_id, decision },
        ...(detail && { repeat: detail.repeat === true }),
      })),
    );
    cursor = page.next_cursor;
  }
  const logs: Record<string, z.output<typeof Logs>> = {};
  const spent: Record<string, number> = {};
  const held: Record<string, number> = {};
  for (const agent of agents) {
    const log = await get(`/v1/agents/${agent}/logs?limit=500`, Logs);
    if (log.length < 500) logs[agent] = log;
    spent[agent] = (await get(`/v1/agents/${agent}/metrics?period=day`, Metrics)).total_spend_usd;
    const seen = Agent.safeParse(await operator.read(`/v1/agents/${agent}`));
    if (seen.success) held[agent] = seen.data.today.held_usd;
  }
  const usage = await get('/v1/usage/all', Usage);
  return {
    ...{ actions, lines, logs, spent, held },
    approvals: await readApprovals(operator),
    usage: { make: usage.make.usage, ai: usage.ai.usage },
  };
}

const after = (cursor: string): string => (cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`);

/** In pages where the server has any: it then names the next one in a header. */
async function readApprovals(operator: Client): Promise<FinalReads['approvals']> {
  const all: z.output<typeof Approvals> = [];
  for (const status of ['pending', 'approved', 'denied']) {
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const { json, next } = await operator.readPage(`/v1/approvals?status=${status}&limit=1000${after(cursor)}`);
      const page = Approvals.safeParse(json);
      if (!page.success) throw new Error(`the approvals could not be read: ${page.error.message}`);
      all.push(...page.data);
      cursor = next;
    }
  }
  return all;
}

async function inParallel<T, R>(width: number, items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    for (let n = next++; n < items.length; n = next++) results[n] = await work(items[n] as T);
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
}
