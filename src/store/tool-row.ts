import { randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { Tool, ToolRequest } from '../contracts/tool.ts';
import { canonicalJson } from '../domain/fingerprint.ts';
import { toMicros, toUsd } from '../domain/money.ts';
import type { Queries } from './database.ts';
import type { Tools } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

/** Which tool. */
export interface ToolKey {
  readonly tenant: string;
  readonly name: string;
  readonly scopeId: string;
}

const defaults = { timeout_ms: 15_000, max_retries: 2, idempotent: false, dedup_ttl: 3600 };

/** Where a tool's secret belongs: bound into its ciphertext. */
export const secretPlace = (tenant: string, name: string, scopeId: string): string =>
  `tool/${tenant}/${scopeId}/${name}`;

/** The same for the headers that go with its calls. */
export const headersPlace = (tenant: string, name: string, scopeId: string): string =>
  `tool-headers/${tenant}/${scopeId}/${name}`;

export const small = [
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
  'header_names',
  'version',
  'created_at',
  'updated_at',
] as const;
/** Everything but the ciphertexts, which leave this folder only to be opened for a call. */
export const shown = [...small, 'input_schema'] as const;

export type Shown = Pick<Selectable<Tools>, (typeof shown)[number]>;

export function toWire(row: Shown): Tool {
  const { price_micros, header_names, created_at, updated_at, ...same } = onlyShown(row);
  return {
    ...same,
    auth: { type: 'hmac_sha256' },
    price_usd: price_micros === null ? null : toUsd(price_micros),
    headers: header_names,
    has_secret: true,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}

/** A row may carry more than may be shown. */
const onlyShown = (row: Shown): Shown => Object.fromEntries(shown.map((name) => [name, row[name]])) as unknown as Shown;

/** What a request says of a tool as its row keeps it, but for the switch and what is sealed. */
export const fieldsOf = (request: ToolRequest) => ({
  url: request.url,
  timeout_ms: request.timeout_ms ?? defaults.timeout_ms,
  max_retries: request.max_retries ?? defaults.max_retries,
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

const notRotating = { previous_cipher: null, previous_until: null, rotated_at: null, rotated_by: null };

/** What a request names of what is sealed; what it does not name stays. */
export function sealedOf(secrets: SecretBox, { auth, headers }: ToolRequest, { tenant, name, scopeId }: ToolKey) {
  const names = Object.keys(headers ?? {}).sort();
  const cipher = () => secrets.seal(canonicalJson(headers), headersPlace(tenant, name, scopeId));
  return {
    // A secret that is set is known to the receiver: nothing is left to rotate.
    ...(auth?.secret !== undefined && {
      ...sealed(secrets, auth.secret, secretPlace(tenant, name, scopeId)),
      ...notRotating,
    }),
    ...(headers !== undefined && { header_names: names, headers_cipher: names.length === 0 ? null : cipher() }),
  };
}

export type Stored = Shown & Pick<Selectable<Tools>, 'secret_cipher' | 'headers_cipher'>;

/** Whether saving would change nothing, but perhaps the switch. */
export function isSame(secrets: SecretBox, before: Stored, request: ToolRequest, key: ToolKey): boolean {
  const { input_schema, ...wanted } = fieldsOf(request);
  const differs = Object.entries(wanted).some(([name, value]) => before[name as keyof typeof wanted] !== value);
  if (differs || canonicalJson(before.input_schema) !== canonicalJson(request.input_schema ?? null)) return false;
  const { headers, auth } = request;
  const { tenant, name, scopeId } = key;
  if (headers !== undefined) {
    const place = headersPlace(tenant, name, scopeId);
    const kept = before.headers_cipher === null ? '{}' : opened(secrets, before.headers_cipher, place);
    if (canonicalJson(headers) !== kept) return false;
  }
  const place = secretPlace(tenant, name, scopeId);
  return auth?.secret === undefined || auth.secret === opened(secrets, before.secret_cipher, place);
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

/** The tool as it is kept, which changes and is switched by nobody else until this transaction ends; none where there is none. */
export async function lock(tx: Queries, { tenant, name, scopeId }: ToolKey): Promise<Stored | undefined> {
  await lockTool(tx, tenant, name, scopeId);
  return await tx
    .selectFrom('tools')
    .select([...shown, 'secret_cipher', 'headers_cipher'])
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('scope_id', '=', scopeId)
    .forNoKeyUpdate()
    .executeTakeFirst();
}

/** What a change is told by: the fields that differ, as they were and as they are. Secrets are told by their ids, headers by their names. */
export function changeOf(before: Stored | undefined, after: Stored | undefined) {
  const [was, is] = [before && toWire(before), after && toWire(after)];
  if (was === undefined || is === undefined) return { before: was ?? null, after: is ?? null };
  const headersDiffer = before?.headers_cipher?.toString('hex') !== after?.headers_cipher?.toString('hex');
  const differs = (name: keyof Tool) =>
    name !== 'updated_at' &&
    ((name === 'headers' && headersDiffer) || canonicalJson(was[name]) !== canonicalJson(is[name]));
  const names = (Object.keys(is) as (keyof Tool)[]).filter(differs);
  const only = (tool: Tool) => Object.fromEntries(names.map((name) => [name, tool[name]]));
  return { before: only(was), after: only(is) };
}
