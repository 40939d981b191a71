import type { Me, Notifications, NotificationsRequest } from '../contracts/account.ts';
import { requestsIn } from '../domain/usage.ts';
import type { Queries } from './database.ts';
import type { Principal } from './keys.ts';
import type { Pools } from './pools.ts';
import { appendAudit } from './trail.ts';
import { ofTenant } from './turns.ts';
import { createUsage } from './usage.ts';

const notifications = [
  'email_notifications_enabled',
  'tool_error_notifications_enabled',
  'run_failure_notifications_enabled',
] as const;

export const createAccounts = ({ writes, reads }: Pick<Pools, 'writes' | 'reads'>) => ({
  /** What the key's owner may know of the account. */
  async me(principal: Principal): Promise<Me> {
    const [tenant, counts] = await Promise.all([
      reads
        .selectFrom('tenants')
        .select(['plan', ...notifications])
        .where('tenant', '=', principal.tenant)
        .executeTakeFirstOrThrow(),
      createUsage(reads).allTime(principal.tenant),
    ]);
    return {
      ...tenant,
      key_preview: principal.preview,
      email: null,
      is_active: principal.isActive,
      current_period_end: null,
      requests_total_all_time: requestsIn(counts),
      blocked_total_all_time: counts.duplicates ?? 0,
    };
  },

  /** Changes the notifications that are named, with an audit line if that changed anything, and answers all of them. */
  notify: (tenant: string, changes: NotificationsRequest, actor: string): Promise<Notifications> =>
    writes.transact(ofTenant(tenant), async (tx) => {
      const before = await lockNotifications(tx, tenant);
      const named = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
      const after = { ...before, ...named };
      if (notifications.every((name) => before[name] === after[name])) return before;
      await tx.updateTable('tenants').set(after).where('tenant', '=', tenant).execute();
      await appendAudit([{ tenant, type: 'notifications_set', actor, detail: after }]).execute(tx);
      return after;
    }),
});

const lockNotifications = (tx: Queries, tenant: string): Promise<Notifications> =>
  tx
    .selectFrom('tenants')
    .select(notifications)
    .where('tenant', '=', tenant)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
