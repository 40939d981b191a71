import { type Migration, Migrator } from 'kysely';
import { openDatabase } from './database.ts';
import * as foundation from './migrations/0001-foundation.ts';
import * as killSwitch from './migrations/0002-kill-switch.ts';
import * as actionLists from './migrations/0003-action-lists.ts';
import * as usageDays from './migrations/0004-usage-days.ts';
import * as auditLists from './migrations/0005-audit-lists.ts';
import * as repeats from './migrations/0006-repeats.ts';
import * as agentRuns from './migrations/0007-agent-runs.ts';
import * as decisions from './migrations/0008-decisions.ts';
import * as approvals from './migrations/0009-approvals.ts';
import * as secretRotation from './migrations/0010-secret-rotation.ts';
import * as proof from './migrations/0011-proof.ts';
import * as keyScopes from './migrations/0012-key-scopes.ts';
import * as settingsAndKill from './migrations/0014-settings-and-kill.ts';

/** In the order of their names; a name that has run somewhere is never changed. */
const migrations: Record<string, Migration> = {
  '0001-foundation': foundation,
  '0002-kill-switch': killSwitch,
  '0003-action-lists': actionLists,
  '0004-usage-days': usageDays,
  '0005-audit-lists': auditLists,
  '0006-repeats': repeats,
  '0007-agent-runs': agentRuns,
  '0008-decisions': decisions,
  '0009-approvals': approvals,
  '0010-secret-rotation': secretRotation,
  '0011-proof': proof,
  '0012-key-scopes': keyScopes,
  '0014-settings-and-kill': settingsAndKill,
};

/**
 * Brings the schema up to date and says which migrations ran; safe to run from several processes at once (Kysely takes
 * an advisory lock).
 *
 * @throws the first migration's error, after rolling that migration back.
 */
export async function migrate(config: { readonly DATABASE_URL: string }): Promise<string[]> {
  const db = openDatabase(config.DATABASE_URL, 2);
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error, results = [] } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    return results.map((result) => result.migrationName);
  } finally {
    await db.destroy();
  }
}
