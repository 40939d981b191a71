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
  readonly secret: string;
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
  };

export function createClaims(db: Database, secrets: SecretBox) {
  const openSecret = (tenant: string, action: ActionRecord, cipher: Buffer): string =>
    secrets.open(cipher, secretPlace(tenant, action.tool, action.toolScope));

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
        select t.url, t.status_url, t.secret_cipher, t.timeout_ms, t.max_retries, t.idempotent, t.dedup_ttl
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
      return judge(row, () => openSecret(tenant, row, row.secret_cipher));
    },

    /** The tool an action was admitted for, unless it has been deleted since. */
    async toolOf(tenant: string, action: ActionRecord): Promise<CallableTool | undefined> {
      const row = await db
        .selectFrom('tools')
        .select(['url', 'status_url', 'secret_cipher', 'timeout_ms', 'max_retries', 'idempotent', 'dedup_ttl'])
        .where('tenant', '=', tenant)
        .where('name', '=', action.tool)
        .where('scope_id', '=', action.toolScope)
        .executeTakeFirst();
      return row && toTool(row, openSecret(tenant, action, row.secret_cipher));
    },
  };
}

function judge(row: ClaimRow, secret: () => string): Claim {
  const action: ActionRecord = row;
  if (row.status !== 'running') return { kind: 'over', action };
  if (row.claimed) return { kind: 'claimed', action, args: row.args, tool: toTool(row, secret()) };
  if (row.ended_at !== null) return { kind: 'ended', action, error: row.attempt_error };
  if (row.attempted) return { kind: 'doubtful', action };
  if (!row.is_enabled) return { kind: 'stopped', action };
  // The tool is there and nothing was claimed: another run of this attempt was quicker, too late for our snapshot to see.
  return { kind: row.url === null ? 'tool_gone' : 'doubtful', action };
}

const toTool = (row: ToolRow, secret: string): CallableTool => ({
  url: row.url ?? '',
  statusUrl: row.status_url,
  secret,
  timeoutMs: row.timeout_ms,
  maxRetries: row.max_retries,
  idempotent: row.idempotent,
  dedupTtl: row.dedup_ttl,
});
