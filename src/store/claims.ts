import { sql } from 'kysely';
import type { JsonObject } from '../contracts/common.ts';
import type { ActionRecord } from '../domain/action.ts';
import { actionColumns } from './actions.ts';
import type { Database } from './database.ts';
import type { SecretBox } from './secret-box.ts';
import { secretPlace } from './tools.ts';

/** A tool as a call needs it; the secret lives no longer than the call. */
export interface CallableTool {
  readonly url: string;
  readonly statusUrl: string | null;
  /** The one that receivers know; while it rotates `nextSecret` is what comes after it. */
  readonly secret: string;
  readonly nextSecret?: string;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly idempotent: boolean;
  /** Seconds; 0: repeats are never recognised. */
  readonly dedupTtl: number;
}

export type Claim =
  | { readonly kind: 'claimed'; readonly action: ActionRecord; readonly args: JsonObject; readonly tool: CallableTool }
  /** The action has ended, whoever ended it. */
  | { readonly kind: 'over'; readonly action: ActionRecord }
  /** The agent was disabled since admission. */
  | { readonly kind: 'stopped'; readonly action: ActionRecord }
  | { readonly kind: 'tool_gone'; readonly action: ActionRecord }
  /** An earlier run of this attempt may have reached the tool, which may not be called twice. */
  | { readonly kind: 'doubtful'; readonly action: ActionRecord }
  /** This attempt has ended already, asking for another. */
  | { readonly kind: 'ended'; readonly action: ActionRecord; readonly error: string | null };

interface ToolRow {
  url: string | null;
  status_url: string | null;
  timeout_ms: number;
  max_retries: number;
  idempotent: boolean;
  dedup_ttl: number;
}

type ClaimRow = ActionRecord &
  ToolRow & {
    args: JsonObject;
    is_enabled: boolean;
    claimed: boolean;
    attempted: boolean;
    ended_at: Date | null;
    attempt_error: string | null;
    secret_cipher: Buffer;
    previous_cipher: Buffer | null;
  };

export function createClaims(db: Database, secrets: SecretBox) {
  const openSecrets = (tenant: string, action: ActionRecord, row: Ciphers): Secrets => {
    const open = (cipher: Buffer) => secrets.open(cipher, secretPlace(tenant, action.tool, action.toolScope));
    const newest = open(row.secret_cipher);
    return row.previous_cipher === null
      ? { secret: newest }
      : { secret: open(row.previous_cipher), nextSecret: newest };
  };

  return {
    /**
     * Claims the `n`-th attempt of an action before its first byte leaves, in one statement that also sees to it that the
     * agent is still enabled: its row is share-locked, so a disable that has committed stops every later claim. An open
     * attempt can be claimed again only for a tool that is declared idempotent.
     */
    async claim(tenant: string, actionId: string, n: number): Promise<Claim> {
      const { rows } = await sql<ClaimRow>`
      with action as (
        select ${actionColumns}, a.args, g.is_enabled from actions a
        join agents g on g.tenant = a.tenant and g.agent_id = a.agent_id
        where a.tenant = ${tenant} and a.action_id = ${actionId} for update of a for share of g
      ), tool as (
        select t.url, t.status_url, t.secret_cipher, t.timeout_ms, t.max_retries, t.idempotent, t.dedup_ttl,
               case when t.previous_until > now() then t.previous_cipher end as previous_cipher
        from action a join tools t on t.tenant = ${tenant} and t.name = a.tool and t.scope_id = a."toolScope"
      ), claimed as (
        insert into attempts as old (action_id, n)
        select a."actionId", ${n}::integer from action a cross join tool where a.is_enabled and a.status = 'running'
        on conflict (action_id, n) do update set started_at = clock_timestamp()
          where old.ended_at is null and (select idempotent from tool)
        returning 1
      )
      select a.*, tool.*, exists (select 1 from claimed) as claimed, old.n is not null as attempted, old.ended_at, old.error as attempt_error
      from action a left join tool on true left join attempts old on old.action_id = a."actionId" and old.n = ${n}::integer
    `.execute(db);
      const [row] = rows;
      if (row === undefined) throw new Error(`action ${actionId} is not in the store`);
      return judge(row, () => openSecrets(tenant, row, row));
    },

    /** The tool an action was admitted for, unless it has been deleted since. */
    async toolOf(tenant: string, action: ActionRecord): Promise<CallableTool | undefined> {
      const row = await db
        .selectFrom('tools')
        .select(['url', 'status_url', 'secret_cipher', 'timeout_ms', 'max_retries', 'idempotent', 'dedup_ttl'])
        .select(sql<Buffer | null>`case when previous_until > now() then previous_cipher end`.as('previous_cipher'))
        .where('tenant', '=', tenant)
        .where('name', '=', action.tool)
        .where('scope_id', '=', action.toolScope)
        .executeTakeFirst();
      return row && toTool(row, openSecrets(tenant, action, row));
    },
  };
}

interface Ciphers {
  readonly secret_cipher: Buffer;
  readonly previous_cipher: Buffer | null;
}
type Secrets = Pick<CallableTool, 'secret' | 'nextSecret'>;

function judge(row: ClaimRow, open: () => Secrets): Claim {
  const action: ActionRecord = row;
  if (row.status !== 'running') return { kind: 'over', action };
  if (row.claimed) return { kind: 'claimed', action, args: row.args, tool: toTool(row, open()) };
  if (row.ended_at !== null) return { kind: 'ended', action, error: row.attempt_error };
  if (row.attempted) return { kind: 'doubtful', action };
  if (!row.is_enabled) return { kind: 'stopped', action };
  // The tool is there and nothing was claimed: another run of this attempt was quicker, too late for our snapshot to see.
  return { kind: row.url === null ? 'tool_gone' : 'doubtful', action };
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
