import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ActionRead, Exchange, FinalReads } from './history.ts';
import type { Client } from './recorder.ts';

/** A page of actions. */
export const Page = z.object({
  items: z.array(z.looseObject({ action_id: z.string() })),
  next_cursor: z.string().nullable(),
});
const Action = z.looseObject({
  ...{ action_id: z.string(), workflow_id: z.string(), status: z.string(), agent_id: z.string(), tool: z.string() },
  ...{ spend_usd: z.number(), fence: z.number().nullable(), created_at: z.string() },
  attempts: z.array(z.looseObject({ started_at: z.string() })),
});
/** A page of approvals. */
export const Approvals = z.array(z.looseObject({ id: z.string(), action_id: z.string(), status: z.string() }));
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
const Logs = z.array(
  z.looseObject({
    decision: z.string(),
    action_id: z
      .string()
      .nullish()
      .transform((id) => id ?? undefined),
  }),
);
const Metrics = z.object({ total_spend_usd: z.number() });
const Agent = z.object({ today: z.object({ held_usd: z.number() }) });
const Usage = z.object({ make: z.object({ usage: z.number() }), ai: z.object({ usage: z.number() }) });

/** Reads what there is, all of it, and what was told of by its id. */
export async function readAll(operator: Client, exchanges: readonly Exchange[]): Promise<FinalReads> {
  const distinct = (values: readonly (string | undefined)[]) => [...new Set(values.flatMap((value) => value ?? []))];
  const agents = distinct([...exchanges.map(({ agent }) => agent), 'runner']);
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
  const listed = new Set(ids);
  const unlisted = distinct(exchanges.map(({ body }) => body.action_id)).filter((id) => !listed.has(id));
  const found = await inParallel(8, unlisted, (id) => operator.read(`/v1/actions/${id}`));
  const alsoFound = unlisted.filter((_, n) => Action.safeParse(found[n]).success);
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
    ...{ actions, alsoFound, lines, logs, spent, held },
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
