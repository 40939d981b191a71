import { sql } from 'kysely';
import type { Tool, ToolRequest } from '../contracts/tool.ts';
import type { Queries } from './database.ts';
import { shown as shownUpTo } from './pages.ts';
import type { Pools } from './pools.ts';
import type { SecretBox } from './secret-box.ts';
import {
  changeOf,
  fieldsOf,
  isSame,
  lock,
  type Shown,
  type Stored,
  sealedOf,
  shown,
  small,
  type ToolKey,
  toWire,
} from './tool-row.ts';
import { appendAudit } from './trail.ts';
import { ofTool } from './turns.ts';

export type SavedTool = { readonly kind: 'saved'; readonly tool: Tool } | { readonly kind: 'secret_needed' };

export const createTools = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>, secrets: SecretBox) => ({
  /**
   * Creates or replaces a tool; absent fields fall to their defaults, but what is absent of secret, headers and switch stays: a
   * deployment that registers its tools switches none on again. What is as asked for already stays as it is, its secret's id
   * too: a repeat changes nothing. A switch alone makes no other version.
   */
  save(tenant: string, request: ToolRequest, actor: string): Promise<SavedTool> {
    return writes.transact(ofTool(tenant, request.name), async (tx) => {
      const key: ToolKey = { tenant, name: request.name, scopeId: request.scope_id ?? 'global' };
      const before = await lock(tx, key);
      if (before === undefined && request.auth?.secret === undefined) return { kind: 'secret_needed' };
      const made =
        before === undefined ? create(tx, secrets, key, request) : replace(tx, secrets, key, before, request);
      const { type, after } = await made;
      if (type !== undefined) await recordChange(tx, { key, type, actor, before, after });
      return { kind: 'saved', tool: toWire(after) };
    });
  },

  /** Tools of these scopes, or of every scope, by name. */
  async list(tenant: string, scopeIds: readonly string[] | undefined): Promise<Tool[]> {
    const query = reads
      .selectFrom('tools')
      .select(small)
      .select(shownUpTo<Shown['input_schema']>(sql`input_schema`, sql`name, scope_id`).as('input_schema'))
      .where('tenant', '=', tenant)
      .orderBy('name')
      .orderBy('scope_id');
    const rows = await (scopeIds === undefined ? query : query.where('scope_id', 'in', scopeIds)).execute();
    return rows.map(toWire);
  },

  async get(tenant: string, name: string, scopeId: string): Promise<Tool | undefined> {
    const row = await reads
      .selectFrom('tools')
      .select(shown)
      .where('tenant', '=', tenant)
      .where('name', '=', name)
      .where('scope_id', '=', scopeId)
      .executeTakeFirst();
    return row && toWire(row);
  },

  /** Says whether the tool exists; one that is as wanted already is left alone. */
  toggle(tenant: string, name: string, scopeId: string, enabled: boolean, actor: string): Promise<boolean> {
    return changed(
      writes,
      sql`
        update tools set enabled = ${enabled}, updated_at = case when was.enabled = ${enabled} then updated_at else now() end
        from (select enabled from tools where tenant = ${tenant} and name = ${name} and scope_id = ${scopeId}
              for update) was
        where tenant = ${tenant} and name = ${name} and scope_id = ${scopeId}
        returning was.enabled <> ${enabled} as differs`,
      {
        tenant,
        type: enabled ? 'tool_enabled' : 'tool_disabled',
        actor,
        tool: name,
        detail: { scope_id: scopeId, before: { enabled: !enabled }, after: { enabled } },
      },
    );
  },

  /** Says whether there is no such tool any more: one that never was is not deleted. */
  remove(tenant: string, name: string, scopeId: string, actor: string): Promise<boolean> {
    return writes.transact(ofTool(tenant, name), async (tx) => {
      const key = { tenant, name, scopeId };
      const before = await lock(tx, key);
      if (before === undefined) return await wasThere(tx, key);
      await sql`delete from tools where tenant = ${tenant} and name = ${name} and scope_id = ${scopeId}`.execute(tx);
      await recordChange(tx, { key, type: 'tool_deleted', actor, before, after: undefined });
      return true;
    });
  },
});

/** Counted from 1 for a name and scope, for ever: a tool that was deleted and comes back is not the one that it was. */
async function nextVersion(tx: Queries, { tenant, name, scopeId }: ToolKey): Promise<number> {
  const { rows } = await sql<{ version: number }>`
    insert into tool_versions as v (tenant, name, scope_id, version) values (${tenant}, ${name}, ${scopeId}, 1)
    on conflict (tenant, name, scope_id) do update set version = v.version + 1 returning version
  `.execute(tx);
  return rows[0]?.version ?? 1;
}

/** Whether there has ever been such a tool. */
async function wasThere(tx: Queries, { tenant, name, scopeId }: ToolKey): Promise<boolean> {
  const { rows } = await sql`
    select 1 from tool_versions where tenant = ${tenant} and name = ${name} and scope_id = ${scopeId}
  `.execute(tx);
  return rows.length > 0;
}

/** Of these names, the ones that no tool has in the global scope or the agent's own, in their order. */
export async function missingTools(
  db: Queries,
  tenant: string,
  agentId: string,
  names: readonly string[],
): Promise<string[]> {
  const { rows } = await sql<{ wanted: string }>`
    select wanted from json_array_elements_text(${JSON.stringify(names)}::json) with ordinality as named(wanted, place)
    where not exists (select 1 from tools t where t.tenant = ${tenant} and t.name = wanted
                      and t.scope_id in ('global', ${`agent:${agentId}`}))
    order by place
  `.execute(db);
  return rows.map((row) => row.wanted);
}

const kept = [...shown, 'secret_cipher', 'headers_cipher'] as const;
/** Placeholder for the insert's required columns; a new tool always has a secret. */
const noSecret: Pick<Stored, 'secret_id' | 'secret_cipher' | 'secret_mask'> = {
  secret_id: '',
  secret_cipher: Buffer.alloc(0),
  secret_mask: '',
};

type Values = Partial<ReturnType<typeof fieldsOf> & ReturnType<typeof sealedOf>> & {
  readonly enabled: boolean;
  readonly version?: number;
};

const insert = (
  tx: Queries,
  { tenant, name, scopeId: scope_id }: ToolKey,
  values: Values & ReturnType<typeof fieldsOf> & typeof noSecret,
): Promise<Stored> =>
  tx
    .insertInto('tools')
    .values({ tenant, name, scope_id, ...values })
    .returning(kept)
    .executeTakeFirstOrThrow();

const update = (tx: Queries, { tenant, name, scopeId }: ToolKey, values: Values): Promise<Stored> =>
  tx
    .updateTable('tools')
    .set({ ...values, updated_at: sql<Date>`now()` })
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('scope_id', '=', scopeId)
    .returning(kept)
    .executeTakeFirstOrThrow();

interface Made {
  /** What it is on the trail; absent where nothing has changed. */
  readonly type?: Change['type'];
  readonly after: Stored;
}

async function create(tx: Queries, secrets: SecretBox, key: ToolKey, request: ToolRequest): Promise<Made> {
  const values = { ...fieldsOf(request), ...sealedOf(secrets, request, key), enabled: request.enabled ?? true };
  const after = await insert(tx, key, { ...noSecret, ...values, version: await nextVersion(tx, key) });
  return { type: 'tool_created', after };
}

async function replace(
  tx: Queries,
  secrets: SecretBox,
  key: ToolKey,
  before: Stored,
  request: ToolRequest,
): Promise<Made> {
  const enabled = request.enabled ?? before.enabled;
  if (!isSame(secrets, before, request, key)) {
    const changes = { ...fieldsOf(request), ...sealedOf(secrets, request, key), version: await nextVersion(tx, key) };
    return { type: 'tool_updated', after: await update(tx, key, { ...changes, enabled }) };
  }
  if (enabled === before.enabled) return { after: before };
  return { type: enabled ? 'tool_enabled' : 'tool_disabled', after: await update(tx, key, { enabled }) };
}

interface Change {
  readonly key: ToolKey;
  readonly type: 'tool_created' | 'tool_updated' | 'tool_enabled' | 'tool_disabled' | 'tool_deleted';
  readonly actor: string;
  readonly before: Stored | undefined;
  readonly after: Stored | undefined;
}

const recordChange = (tx: Queries, { key: { tenant, name, scopeId }, type, actor, before, after }: Change) =>
  appendAudit([{ tenant, type, actor, tool: name, detail: { scope_id: scopeId, ...changeOf(before, after) } }]).execute(
    tx,
  );

async function changed(
  writes: Pools['writes'],
  change: ReturnType<typeof sql>,
  entry: Parameters<typeof appendAudit>[0][number],
): Promise<boolean> {
  const { rows } = await writes.run(ofTool(entry.tenant, entry.tool ?? ''), (db) =>
    sql<{ found: boolean }>`
    with changed as (${change}), audited as (${appendAudit([entry], sql`exists (select 1 from changed where differs)`)})
    select exists (select 1 from changed) as found
  `.execute(db),
  );
  return rows[0]?.found ?? false;
}
