import { openUnlimited } from './database.ts';
import type { Migration } from './migration-steps.ts';
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
import * as deployment from './migrations/0013-deployment.ts';
import * as settingsAndKill from './migrations/0014-settings-and-kill.ts';
import * as toolHeaders from './migrations/0016-tool-headers.ts';
import * as whoSwitched from './migrations/0017-who-switched.ts';
import { migrateAll, PATIENCE, type Patience } from './migrator.ts';

/** In the order of their names; a name that has run somewhere is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
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
  '0013-deployment': deployment,
  '0014-settings-and-kill': settingsAndKill,
  '0016-tool-headers': toolHeaders,
  '0017-who-switched': whoSwitched,
};

export interface MigrateOptions {
  /** What there is to run; default: {@link migrations}. */
  readonly list?: Readonly<Record<string, Migration>>;
  /** How it waits for locks of others; default: {@link PATIENCE}. */
  readonly patience?: Patience;
  /** Told in sentences how it goes on. */
  readonly progress?: (line: string) => void;
}

/**
 * Brings the schema up to date and says which migrations ran, while the product is at work on it. Safe to run from several
 * processes at once: one works, the others wait. It has connections of its own, on which no statement is too long; it waits
 * for a lock briefly and again, so that nobody queues behind it for long.
 *
 * @throws {MigrationError} naming the migration; the next call goes on where this one ended.
 */
export async function migrate(
  config: { readonly DATABASE_URL: string },
  { list = migrations, patience = PATIENCE, progress = () => undefined }: MigrateOptions = {},
): Promise<string[]> {
  const db = openUnlimited(config.DATABASE_URL);
  try {
    return await migrateAll({ db, migrations: list, patience, progress });
  } finally {
    await db.destroy();
  }
}
