import { sql } from 'kysely';
import { DEFAULT_APPROVAL_TTL_SECONDS, type Settings } from '../contracts/settings.ts';
import type { Queries } from './database.ts';
import type { Pools } from './pools.ts';
import { appendAudit } from './trail.ts';
import { ofTenant } from './turns.ts';

const names = ['default_deny', 'approval_ttl_seconds'] as const satisfies ReadonlyArray<keyof Settings>;

export const createSettings = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  read: (tenant: string): Promise<Settings> => read(reads, tenant, { lock: false }),

  /** Changes what is named, with a line on the trail if that changed anything, and answers all. */
  save: (tenant: string, changes: { [Name in keyof Settings]?: Settings[Name] | undefined }, actor: string) =>
    writes.transact(ofTenant(tenant), async (tx): Promise<Settings> => {
      const before = await read(tx, tenant, { lock: true });
      const named = names.filter((name) => changes[name] !== undefined && changes[name] !== before[name]);
      if (named.length === 0) return before;
      const changed = Object.fromEntries(named.map((name) => [name, changes[name]]));
      await tx.updateTable('tenants').set(changed).where('tenant', '=', tenant).execute();
      await appendAudit([{ tenant, type: 'settings_changed', actor, detail: changed }]).execute(tx);
      return { ...before, ...changed };
    }),
});

async function read(db: Queries, tenant: string, { lock }: { lock: boolean }): Promise<Settings> {
  const { rows } = await sql<Settings>`
    select default_deny, coalesce(approval_ttl_seconds, ${DEFAULT_APPROVAL_TTL_SECONDS}) as approval_ttl_seconds
    from tenants where tenant = ${tenant} ${lock ? sql`for no key update` : sql``}
  `.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error(`tenant ${tenant} is not in the store`);
  return row;
}
