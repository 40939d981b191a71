import { sql } from 'kysely';
import type { JsonObject } from '../contracts/common.ts';
import { Policy } from '../contracts/policy.ts';
import type { ToolHeaders } from '../contracts/tool-headers.ts';
import type { PastAttempt } from '../domain/abandonment.ts';
import type { ActionRecord } from '../domain/action.ts';
import { judgeLists, type Verdict } from '../domain/policy.ts';
import { actionColumns } from './actions.ts';
import type { Queries } from './database.ts';
import { isKilled } from './kills.ts';
import type { Pools } from './pools.ts';
import type { SecretBox } from './secret-box.ts';
import { headersPlace, secretPlace } from './tool-row.ts';

/** A tool as a call needs it; the secret lives no longer than the call. */
export interface CallableTool {
  readonly url: string;
  readonly statusUrl: string | null;
  /** The one that receivers know; while it rotates `nextSecret` is what comes after it. */
  readonly secret: string;
  readonly nextSecret?: string;
  /** What goes with every call beside what the server says itself. */
  readonly headers: ToolHeaders;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly idempotent: boolean;
  /** Seconds; 0: repeats are never recognised. */
  readonly dedupTtl: number;
}

/** Which attempt is claimed, by whom. */
export interface ClaimOf {
  readonly tenant: string;
  readonly actionId: string;
  /** Counted from 1. */
  readonly n: number;
  /** Of the execution that claims: the same one may claim again, as long as it has not written a byte. */
  readonly token: string;
  /** It asks an idempotent tool, by the same key, what became of an action in doubt. */
  readonly asking: boolean;
}

/** Why nothing may be sent. */
export type Gate =
  | { readonly kind: 'killed' | 'agent_disabled' | 'tool_disabled' | 'tool_deleted' | 'run_over' | 'superseded' }
  | { readonly kind: 'list'; readonly verdict: Extract<Verdict, { kind: 'deny' }> };

export type Claim =
  | {
      readonly kind: 'claimed';
      readonly action: ActionRecord;
      readonly args: JsonObject;
      readonly tool: CallableTool;
      /** The attempts before; one that an execution now lost has made under this very number is among them. */
      readonly earlier: readonly PastAttempt[];
    }
  /** The action has ended, or is not in the state that is asked about. */
  | { readonly kind: 'over'; readonly action: ActionRecord }
  | { readonly kind: 'refused'; readonly action: ActionRecord; readonly gate: Gate }
  /** An execution that is lost, or still at it, has claimed this attempt of a tool that may not be called twice. */
  | { readonly kind: 'lost'; readonly action: ActionRecord }
  /** An earlier attempt may have reached the tool, which may not be called twice any more. */
  | { readonly kind: 'doubtful'; readonly action: ActionRecord }
  /** This attempt has ended already, asking for another. */
  | { readonly kind: 'ended'; readonly action: ActionRecord };

interface ToolRow {
  url: string | null;
  status_url: string | null;
  timeout_ms: number;
  max_retries: number;
  idempotent: boolean;
  dedup_ttl: number;
}

type Found = 'claim' | 'over' | 'ended' | 'lost' | 'doubtful' | 'policy_changed' | Exclude<Gate['kind'], 'list'>;

type ClaimRow = ActionRecord &
  ToolRow & {
    args: JsonObject;
    found: Found;
    claimed: boolean;
    earlier: PastAttempt[] | null;
    policy_version: number;
    secret_cipher: Buffer;
    previous_cipher: Buffer | null;
    headers_cipher: Buffer | null;
  };

export function createClaims({ writes, reads }: Pick<Pools, 'writes' | 'reads'>, secrets: SecretBox) {
  const openSecrets = (tenant: string, action: ActionRecord, row: Ciphers): Secrets => {
    const { tool, toolScope } = action;
    const open = (cipher: Buffer) => secrets.open(cipher, secretPlace(tenant, tool, toolScope));
    const newest = open(row.secret_cipher);
    const headers: ToolHeaders =
      row.headers_cipher === null
        ? {}
        : JSON.parse(secrets.open(row.headers_cipher, headersPlace(tenant, tool, toolScope)));
    return row.previous_cipher === null
      ? { secret: newest, headers }
      : { secret: open(row.previous_cipher), nextSecret: newest, headers };
  };

  return {
    /**
     * Claims an attempt before its first byte leaves: the last gate. Under the locks of the action, its agent, its tool and its
     * run's lease it looks once more at all that can say no: switches, the tool's declaration, the lists of the policy, the
     * lease, and what was approved. An open attempt of another execution can be claimed again only for a tool that is declared
     * idempotent. What can fail without sending, opening the secrets above all, happens before the claim is committed.
     */
    claim: async (of: ClaimOf): Promise<Claim> =>
      writes.transact(await writes.ofAction(of.tenant, of.actionId), async (tx) => {
        let row = await tryClaim(tx, of);
        if (row.found === 'policy_changed') {
          const verdict = await listsNow(tx, of.tenant, row);
          if (verdict.kind === 'deny') return { kind: 'refused', action: row, gate: { kind: 'list', verdict } };
          row = await tryClaim(tx, of);
        }
        return judge(row, () => openSecrets(of.tenant, row, row));
      }),

    /** The tool an action was admitted for, unless it has been deleted since. */
    async toolOf(tenant: string, action: ActionRecord): Promise<CallableTool | undefined> {
      const row = await reads
        .selectFrom('tools')
        .select([
          'url',
          'status_url',
          'secret_cipher',
          'headers_cipher',
          'timeout_ms',
          'max_retries',
          'idempotent',
          'dedup_ttl',
        ])
        .select(sql<Buffer | null>`case when previous_until > now() then previous_cipher end`.as('previous_cipher'))
        .where('tenant', '=', tenant)
        .where('name', '=', action.tool)
        .where('scope_id', '=', action.toolScope)
        .executeTakeFirst();
      return row && toTool(row, openSecrets(tenant, action, row));
    },
  };
}

/**
 * One statement, whose parts lock one after the other: action, tool, lease, agent, tenant (docs/concepts.md, "Locks"). It claims where
 * nothing speaks against it, else it says what does. What switches change comes last: while a claim waits for any other row, it
 * holds nothing that a switch would have to wait for.
 */
async function tryClaim(tx: Queries, { tenant, actionId, n, token, asking }: ClaimOf): Promise<ClaimRow> {
  const { rows } = await sql<ClaimRow>`
    with action as materialized (
      select ${actionColumns}, a.args, a.gate_version, a.run_key, a.run_lease_id, a.tool_version from actions a
      where a.tenant = ${tenant} and a.action_id = ${actionId} for update
    ), tool as materialized (
      select t.url, t.status_url, t.secret_cipher, t.headers_cipher, t.timeout_ms, t.max_retries, t.idempotent, t.dedup_ttl, t.enabled, t.version,
             case when t.previous_until > now() then t.previous_cipher end as previous_cipher
      from tools t join action a on t.tenant = ${tenant} and t.name = a.tool and t.scope_id = a."toolScope"
      for share of t
    ), lease as materialized (
      select l.state, l.error_code from leases l
      join action a on l.tenant = ${tenant} and l.key = a.run_key and l.lease_id = a.run_lease_id
      where (select count(*) from tool) >= 0 for share of l
    ), agent as materialized (
      select g.is_enabled, g.policy_version from agents g join action a on g.tenant = ${tenant} and g.agent_id = a."agentId"
      where (select count(*) from lease) >= 0 for share of g
    ), tenant as materialized (
      select ${isKilled(sql`n`, sql`a.tool`)} as killed from tenants n join action a on n.tenant = ${tenant}
      where (select count(*) from agent) >= 0 for key share of n
    ), past as materialized (
      select n, ended_at, may_have_acted, error, token from attempts
      where action_id = ${actionId} and (select count(*) from tenant) >= 0
    ), own as (
      select * from past where n = ${n}::integer
    ), ruled as materialized (
      select case
        when a.status <> ${asking ? 'in_doubt' : 'running'} then 'over'
        when exists (select 1 from own where ended_at is not null) then 'ended'
        when not exists (select 1 from tool) then 'tool_deleted'
        when exists (select 1 from own where token is distinct from ${token}) and not (select idempotent from tool)
          then 'lost'
        when coalesce((select killed from tenant), false) then 'killed'
        when not coalesce((select is_enabled from agent), true) then 'agent_disabled'
        when not (select enabled from tool) then 'tool_disabled'
        when a.run_lease_id is not null and not exists (
          select 1 from lease where state = 'held' or (${asking} and state = 'failed' and error_code = 'in_doubt'))
          then 'run_over'
        when a.tool_version is distinct from (select version from tool) and exists (
          select 1 from approvals where action_id = ${actionId} and status = 'approved') then 'superseded'
        when coalesce((select policy_version from agent), 0) <> coalesce(a.gate_version, 0) then 'policy_changed'
        when not (select idempotent from tool) and exists (
          select 1 from past where n <> ${n}::integer and (may_have_acted or ended_at is null)) then 'doubtful'
        else 'claim' end as found
      from action a
    ), claimed as (
      insert into attempts as old (action_id, n, token)
      select ${actionId}, ${n}::integer, ${token} from ruled where found = 'claim'
      on conflict (action_id, n) do update set started_at = clock_timestamp(), token = excluded.token,
          may_have_acted = old.may_have_acted or old.token is distinct from excluded.token
        where old.ended_at is null and (old.token = excluded.token or (select idempotent from tool))
      returning 1
    )
    select a.*, tool.*, ruled.found, exists (select 1 from claimed) as claimed,
           coalesce((select policy_version from agent), 0) as policy_version, (
             select json_agg(json_build_object('ended', ended_at is not null, 'mayHaveActed', may_have_acted, 'error', error)
                             order by n)
             from past where n < ${n}::integer or token is distinct from ${token} or may_have_acted) as earlier
    from action a cross join ruled left join tool on true
  `.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new Error(`action ${actionId} is not in the store`);
  return row;
}

/**
 * What the lists of the policy now say of the tool. A statement of its own, after the agent's row is locked, which whoever
 * stores a policy changes too: what it reads stays so until this transaction ends.
 */
async function listsNow(tx: Queries, tenant: string, { agentId, actionId, tool, policy_version }: ClaimRow) {
  const { rows } = await sql<{ policy: unknown }>`
    with passed as (
      update actions set gate_version = ${policy_version} where tenant = ${tenant} and action_id = ${actionId}
    )
    select policy from policies where tenant = ${tenant} and agent_id = ${agentId} and version = ${policy_version}
  `.execute(tx);
  return judgeLists(tool, rows[0] === undefined ? {} : Policy.parse(rows[0].policy));
}

interface Ciphers {
  readonly secret_cipher: Buffer;
  readonly previous_cipher: Buffer | null;
  readonly headers_cipher: Buffer | null;
}
type Secrets = Pick<CallableTool, 'secret' | 'nextSecret' | 'headers'>;

function judge(row: ClaimRow, open: () => Secrets): Claim {
  const action: ActionRecord = row;
  switch (row.found) {
    case 'claim':
      // Another execution of this attempt was quicker, too late for our snapshot to see.
      if (!row.claimed) return { kind: row.idempotent ? 'ended' : 'lost', action };
      return { kind: 'claimed', action, args: row.args, tool: toTool(row, open()), earlier: row.earlier ?? [] };
    case 'over':
    case 'ended':
    case 'lost':
    case 'doubtful':
      return { kind: row.found, action };
    case 'policy_changed':
      throw new Error(`the policy of action ${action.actionId} changed under its lock`);
    default:
      return { kind: 'refused', action, gate: { kind: row.found } };
  }
}

const toTool = (row: ToolRow, secrets: Secrets): CallableTool => ({
  url: row.url ?? '',
  statusUrl: row.status_url,
  ...secrets,
  timeoutMs: row.timeout_ms,
  maxRetries: row.max_retries,
  idempotent: row.idempotent,
  dedupTtl: row.dedup_ttl,
});
