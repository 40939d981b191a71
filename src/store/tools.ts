import { randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { Tool, ToolRequest } from '../contracts/tool.ts';
import { canonicalJson } from '../domain/fingerprint.ts';
import { toMicros, toUsd } from '../domain/money.ts';
import type { Queries } from './database.ts';
import { shown as shownUpTo } from './pages.ts';
import type { Pools } from './pools.ts';
import type { Tools } from './schema.ts';
import type { SecretBox } from './secret-box.ts';
import { appendAudit } from './trail.ts';
import { ofTool } from './turns.ts';

const defaults = { timeout_ms: 15_000, max_retries: 2, enabled: true, idempotent: false, dedup_ttl: 3600 };

/** Where a tool's secret belongs: bound into its ciphertext. */
export const secretPlace = (tenant: string, name: string, scopeId: string): string =>
  `tool/${tenant}/${scopeId}/${name}`;

const small = [
  'name',
  'scope_id',
  'url',
  'secret_id',
  'secret_mask',
  'timeout_ms',
  'max_retries',
  'enabled',
  'description',
  'price_micros',
  'idempotent',
  'dedup_ttl',
  'status_url',
  'version',
  'created_at',
  'updated_at',
] as const;
/** Everything but the ciphertext, which leaves this folder only to be opened for a call. */
const shown = [...small, 'input_schema'] as const;

type Shown = Pick<Selectable<Tools>, (typeof shown)[number]>;

function toWire(row: Shown): Tool {
  const { price_micros, created_at, updated_at, ...same } = onlyShown(row);
  return {
    ...same,
    auth: { type: 'hmac_sha256' },
    price_usd: price_micros === null ? null : toUsd(price_micros),
    has_secret: true,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}

/** A row may carry more than may be shown. */
const onlyShown = (row: Shown): Shown => Object.fromEntries(shown.map((name) => [name, row[name]])) as unknown as Shown;

export type SavedTool = { readonly kind: 'saved'; readonly tool: Tool } | { readonly kind: 'secret_needed' };

export const createTools = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>, secrets: SecretBox) => ({
  /**
   * Creates or replaces a tool; absent fields fall to their defaults, an absent secret keeps the old one. What is as
   * asked for already stays as it is, its secret's id too: a repeat changes nothing.
   */
  save(tenant: string, request: ToolRequest, actor: string): Promise<SavedTool> {
    return writes.transact(ofTool(tenant, request.name), async (tx) => {
      const scope_id = request.scope_id ?? 'global';
      const before = await lock(tx, tenant, request.name, scope_id);
      const secret = request.auth?.secret ?? undefined;
      if (before === undefined && secret === undefined) return { kind: 'secret_needed' };
      if (before !== undefined && isSame(secrets, before, request, secretPlace(tenant, request.name, scope_id))) {
        return { kind: 'saved', tool: toWire(before) };
      }
      const place = secretPlace(tenant, request.name, scope_id);
      // A secret that is set is known to the receiver: nothing is left to rotate.
      const fresh = secret === undefined ? {} : { ...sealed(secrets, secret, place), ...notRotating };
      const version = await nextVersion(tx, tenant, request.name, scope_id);
      const values = { ...fieldsOf(request), ...fresh, version, updated_at: sql<Date>`now()` };
      const row =
        before === undefined
          ? await tx
              .insertInto('tools')
              .values({ tenant, name: request.name, scope_id, ...noSecret, ...values })
              .returning(shown)
              .executeTakeFirstOrThrow()
          : await tx
              .updateTable('tools')
              .set(values)
              .where('tenant', '=', tenant)
              .where('name', '=', request.name)
              .where('scope_id', '=', scope_id)
              .returning(shown)
              .executeTakeFirstOrThrow();
      const type = before === undefined ? 'tool_created' : 'tool_updated';
      await recordChange(tx, { tenant, type, actor, tool: request.name, scope_id });
      return { kind: 'saved', tool: toWire(row) };
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
        detail: { scope_id: scopeId },
      },
    );
  },

  /** Says whether the tool existed. */
  remove(tenant: string, name: string, scopeId: string, actor: string): Promise<boolean> {
    return changed(
      writes,
      sql`delete from tools where tenant = ${tenant} and name = ${name} and scope_id = ${scopeId} returning true as differs`,
      {
        tenant,
        type: 'tool_deleted',
        actor,
        tool: name,
        detail: { scope_id: scopeId },
      },
    );
  },
});

/** Counted from 1 for a name and scope, for ever: a tool that was deleted and comes back is not the one that it was. */
async function nextVersion(tx: Queries, tenant: string, name: string, scopeId: string): Promise<number> {
  const { rows } = await sql<{ version: number }>`
    insert into tool_versions as v (tenant, name, scope_id, version) values (${tenant}, ${name}, ${scopeId}, 1)
    on conflict (tenant, name, scope_id) do update set version = v.version + 1 returning version
  `.execute(tx);
  return rows[0]?.version ?? 1;
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

const notRotating = { previous_cipher: null, previous_until: null, rotated_at: null, rotated_by: null };

/** Placeholder for the insert's required columns; `save` always overwrites them, having asked for the secret first. */
const noSecret = { secret_id: '', secret_cipher: Buffer.alloc(0), secret_mask: '' };

const fieldsOf = (request: ToolRequest) => ({
  url: request.url,
  timeout_ms: request.timeout_ms ?? defaults.timeout_ms,
  max_retries: request.max_retries ?? defaults.max_retries,
  enabled: request.enabled ?? defaults.enabled,
  description: request.description ?? null,
  price_micros: request.price_usd === undefined ? null : toMicros(request.price_usd),
  idempotent: request.idempotent ?? defaults.idempotent,
  dedup_ttl: request.dedup_ttl ?? defaults.dedup_ttl,
  status_url: request.status_url ?? null,
  input_schema: request.input_schema === undefined ? null : JSON.stringify(request.input_schema),
});

/** A secret as its row keeps it. */
export const sealed = (secrets: SecretBox, secret: string, place: string) => ({
  secret_id: `sec_${randomBytes(12).toString('hex')}`,
  secret_cipher: secrets.seal(secret, place),
  secret_mask: `***${secret.slice(-3)}`,
});

type Stored = Pick<Selectable<Tools>, (typeof shown)[number] | 'secret_cipher'>;

/** Whether saving would change nothing. */
function isSame(secrets: SecretBox, before: Stored, request: ToolRequest, place: string): boolean {
  const { input_schema, ...wanted } = fieldsOf(request);
  const differs = Object.entries(wanted).some(([name, value]) => before[name as keyof typeof wanted] !== value);
  if (differs || canonicalJson(before.input_schema) !== canonicalJson(request.input_schema ?? null)) return false;
  const secret = request.auth?.secret;
  return secret === undefined || secret === opened(secrets, before.secret_cipher, place);
}

/** What was sealed under another master key cannot be opened, and so is replaced. */
function opened(secrets: SecretBox, cipher: Buffer, place: string): string | undefined {
  try {
    return secrets.open(cipher, place);
  } catch {
    return undefined;
  }
}

/** Two writers of one tool take turns, also while it does not exist yet. */
export const lockTool = (tx: Queries, tenant: string, name: string, scope: string) =>
  sql`select pg_advisory_xact_lock(hashtextextended(${secretPlace(tenant, name, scope)}, 0))`.execute(tx);

async function lock(tx: Queries, tenant: string, name: string, scope: string): Promise<Stored | undefined> {
  await lockTool(tx, tenant, name, scope);
  return await tx
    .selectFrom('tools')
    .select([...shown, 'secret_cipher'])
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('scope_id', '=', scope)
    .executeTakeFirst();
}

const recordChange = (
  tx: Queries,
  change: { tenant: string; type: string; actor: string; tool: string; scope_id: string },
) => {
  const { scope_id, ...entry } = change;
  return appendAudit([{ ...entry, detail: { scope_id } }]).execute(tx);
};

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
