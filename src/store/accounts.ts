import type { Me } from '../contracts/account.ts';
import type { Database } from './database.ts';
import type { Principal } from './keys.ts';
import { createUsage } from './usage.ts';

export const createAccounts = (db: Database) => ({
  /** What the key's owner may know of the account. */
  async me(principal: Principal): Promise<Me> {
    const [tenant, counted] = await Promise.all([
      db
        .selectFrom('tenants')
        .select([
          'plan',
          'email_notifications_enabled',
          'tool_error_notifications_enabled',
          'run_failure_notifications_enabled',
        ])
        .where('tenant', '=', principal.tenant)
        .executeTakeFirstOrThrow(),
      createUsage(db).allTime(principal.tenant),
    ]);
    return {
      ...tenant,
      key_preview: principal.preview,
      email: null,
      is_active: principal.isActive,
      current_period_end: null,
      requests_total_all_time: Object.values(counted).reduce((sum, count) => sum + count, 0),
      blocked_total_all_time: counted.duplicates ?? 0,
    };
  },
});
