import { type Exchange, groupBy, keysOf, type Received, sumUsd } from './history.ts';
import { make } from './load/calls.ts';
import type { Played } from './quiet.ts';
import { Page } from './reads.ts';
import type { Client } from './recorder.ts';
import { toolNames } from './tools.ts';

/** A request whose client has gone may still take a lock for a while. */
const LOCK_GRACE_MS = 20_000;
const SAMPLE = 60;

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
