import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { RotatedSecret, RotateRequest } from '../contracts/tool.ts';
import type { Queries } from './database.ts';
import type { Pools } from './pools.ts';
import type { SecretBox } from './secret-box.ts';
import { lockTool, sealed, secretPlace } from './tool-row.ts';
import { appendAudit } from './trail.ts';
import { ofTool } from './turns.ts';

/** A rotation that is asked for again within this time, by the same key and without a secret of its own, is the same one. */
const REPEAT_SECONDS = 60;
const DEFAULT_OVERLAP_SECONDS = 86_400;
/** 256 bits, in the form of Standard Webhooks. */
const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

interface Row {
  secret_id: string;
  secret_mask: string;
  secret_cipher: Buffer;
  previous_until: Date | null;
  repeatable: boolean | null;
}

export const createRotations = ({ writes }: Pick<Pools, 'writes'>, secrets: SecretBox) => ({
  /**
   * Gives a tool its next secret; until the overlap ends the one that receivers know now signs beside it. Rotated again
   * meanwhile, the known one stays known. None where there is no such tool.
   */
  rotate: (
    tenant: string,
    name: string,
    scopeId: string,
    { secret: asked, overlap_seconds: overlap = DEFAULT_OVERLAP_SECONDS }: RotateRequest,
    actor: string,
  ): Promise<RotatedSecret | undefined> =>
    writes.transact(ofTool(tenant, name), async (tx) => {
      await lockTool(tx, tenant, name, scopeId);
      const before = await read(tx, tenant, name, scopeId, actor);
      if (before === undefined) return undefined;
      const place = secretPlace(tenant, name, scopeId);
      const current = secrets.open(before.secret_cipher, place);
      if (asked === current) return answerOf(name, scopeId, before);
      if (asked === undefined && before.repeatable) return { ...answerOf(name, scopeId, before), secret: current };
      const secret = asked ?? newSecret();
      const fresh = sealed(secrets, secret, place);
      const { rows } = await sql<Row>`
        update tools set
          previous_cipher = case when previous_until > now() then previous_cipher else secret_cipher end,
          previous_until = now() + make_interval(secs => ${overlap}),
          secret_id = ${fresh.secret_id}, secret_mask = ${fresh.secret_mask}, secret_cipher = ${fresh.secret_cipher},
          rotated_at = now(), rotated_by = ${actor}, chosen_here = ${asked === undefined}, updated_at = now()
        where tenant = ${tenant} and name = ${name} and scope_id = ${scopeId}
        returning secret_id, secret_mask, previous_until
      `.execute(tx);
      const detail = { scope_id: scopeId, secret_id: fresh.secret_id, overlap_seconds: overlap };
      await appendAudit([{ tenant, type: 'tool_secret_rotated', actor, tool: name, detail }]).execute(tx);
      const rotated = answerOf(name, scopeId, rows[0] as Row);
      return asked === undefined ? { ...rotated, secret } : rotated;
    }),
});

async function read(tx: Queries, tenant: string, name: string, scopeId: string, actor: string) {
  const { rows } = await sql<Row>`
    select secret_id, secret_mask, secret_cipher, previous_until,
           chosen_here and rotated_by = ${actor} and rotated_at > now() - make_interval(secs => ${sql.lit(REPEAT_SECONDS)})
             as repeatable
    from tools where tenant = ${tenant} and name = ${name} and scope_id = ${scopeId}
  `.execute(tx);
  return rows[0];
}

const answerOf = (name: string, scopeId: string, row: Omit<Row, 'secret_cipher' | 'repeatable'>): RotatedSecret => ({
  name,
  scope_id: scopeId,
  secret_id: row.secret_id,
  secret_mask: row.secret_mask,
  previous_valid_until: row.previous_until?.toISOString() ?? null,
});
