import { Refusal } from '../contracts/errors.ts';
import { createAbandonments } from './abandonments.ts';
import { createAccepted } from './accepted.ts';
import { createAccounts } from './accounts.ts';
import { createActions } from './actions.ts';
import { createAdmissions } from './admissions.ts';
import { createAgents } from './agents.ts';
import { createApprovals } from './approvals.ts';
import { createAudit } from './audit.ts';
import { createBulletin } from './bulletin.ts';
import { createClaims } from './claims.ts';
import { openDatabase } from './database.ts';
import { createDecisions } from './decisions.ts';
import { createFeed } from './feed.ts';
import { createIssuance } from './issuance.ts';
import { createKeyDerivation } from './key-material.ts';
import { createKeyRotations } from './key-rotations.ts';
import { createKeys } from './keys.ts';
import { createKills } from './kills.ts';
import { createLeases } from './leases.ts';
import { createMasterKey } from './master-key.ts';
import { createPolicies } from './policies.ts';
import { createRecorder } from './recorder.ts';
import { createRotations } from './rotations.ts';
import { createRunEndings } from './run-endings.ts';
import { createRunning } from './running.ts';
import { createRuns } from './runs.ts';
import { createSecretBox, type SecretBox } from './secret-box.ts';
import { createSettings } from './settings.ts';
import { createSettlements } from './settlements.ts';
import { readStanding } from './standing.ts';
import { createTallies } from './tallies.ts';
import { createTools } from './tools.ts';
import { createFolding, createUsage } from './usage.ts';

export interface StoreConfig {
  readonly DATABASE_URL: string;
  readonly DATABASE_POOL_SIZE: number;
  readonly ONCEONLY_MASTER_KEY: Buffer;
}

/** How often counters are added up. */
const FOLD_EVERY_MS = 5_000;

export type Stores = ReturnType<typeof createStores>;

/** Every store over one pool of connections. */
export function createStores(config: StoreConfig) {
  const db = openDatabase(config.DATABASE_URL, config.DATABASE_POOL_SIZE);
  const box = createSecretBox(config.ONCEONLY_MASTER_KEY);
  const masterKey = createMasterKey(db, box);
  const secrets: SecretBox = {
    ...box,
    seal(secret, place) {
      // What is sealed under another key than the deployment's could be opened by nobody else.
      if (!masterKey.isProven()) throw new Refusal('unavailable');
      return box.seal(secret, place);
    },
  };
  const derive = createKeyDerivation(config.ONCEONLY_MASTER_KEY);
  const recorder = createRecorder(db);
  const tallies = createTallies(db);
  const bulletin = createBulletin(db, config.DATABASE_URL);
  const fold = createFolding(db);
  // Away, or locked: the next round adds up what this one did not.
  const folding = setInterval(() => void fold().catch(() => undefined), FOLD_EVERY_MS).unref();
  return {
    abandonments: createAbandonments(db),
    accepted: createAccepted(db),
    accounts: createAccounts(db),
    actions: createActions(db),
    admissions: createAdmissions(db),
    agents: createAgents(db),
    approvals: createApprovals(db),
    audit: createAudit(db),
    bulletin,
    claims: createClaims(db, secrets),
    decisions: createDecisions(db),
    feed: createFeed(db),
    issuance: createIssuance(db, derive),
    settings: createSettings(db),
    kills: createKills(db),
    running: createRunning(db),
    keyRotations: createKeyRotations(db, derive),
    keys: createKeys(db),
    leases: createLeases(db),
    masterKey,
    policies: createPolicies(db),
    recorder,
    rotations: createRotations(db, secrets),
    runEndings: createRunEndings(db),
    runs: createRuns(db),
    settlements: createSettlements(db),
    tallies,
    tools: createTools(db, secrets),
    usage: createUsage(db),

    /** What is open, over all tenants. */
    readStanding: () => readStanding(db),

    /** What no other deployment's database says, unless it is a copy of this one. */
    identifyDeployment: async (): Promise<string> =>
      (await db.selectFrom('deployment').select('id').executeTakeFirstOrThrow()).id,

    /** @throws when PostgreSQL does not answer. */
    ping: async () => {
      await db.selectFrom('tenants').select('tenant').limit(1).execute();
    },

    close: async () => {
      await recorder.drained();
      clearInterval(folding);
      await tallies.drained();
      await bulletin.drained();
      await db.destroy();
    },
  };
}
