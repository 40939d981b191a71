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
import { openPools, type PoolConfig } from './pools.ts';
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

export interface StoreConfig extends PoolConfig {
  readonly ONCEONLY_MASTER_KEY: Buffer;
}

/** How often counters are added up. */
const FOLD_EVERY_MS = 5_000;

export type Stores = ReturnType<typeof createStores>;

/** Every store, over the pools that what it does belongs to. */
export function createStores(config: StoreConfig) {
  const pools = openPools(config);
  const { reads, probes } = pools;
  const box = createSecretBox(config.ONCEONLY_MASTER_KEY);
  const masterKey = createMasterKey(probes, box);
  const secrets: SecretBox = {
    ...box,
    seal(secret, place) {
      // What is sealed under another key than the deployment's could be opened by nobody else.
      if (!masterKey.isProven()) throw new Refusal('unavailable');
      return box.seal(secret, place);
    },
  };
  const derive = createKeyDerivation(config.ONCEONLY_MASTER_KEY);
  const recorder = createRecorder(reads);
  const tallies = createTallies(reads);
  const bulletin = createBulletin(reads, config.DATABASE_URL);
  const fold = createFolding(reads);
  // Away, or locked: the next round adds up what this one did not.
  const folding = setInterval(() => void fold().catch(() => undefined), FOLD_EVERY_MS).unref();
  return {
    abandonments: createAbandonments(pools),
    accepted: createAccepted(reads),
    accounts: createAccounts(pools),
    actions: createActions(reads),
    admissions: createAdmissions(pools),
    agents: createAgents(pools),
    approvals: createApprovals(pools),
    audit: createAudit(reads),
    bulletin,
    claims: createClaims(pools, secrets),
    decisions: createDecisions(reads),
    feed: createFeed(reads),
    issuance: createIssuance(pools, derive),
    settings: createSettings(pools),
    kills: createKills(pools),
    running: createRunning(reads),
    keyRotations: createKeyRotations(pools, derive),
    keys: createKeys(pools),
    leases: createLeases(pools),
    masterKey,
    policies: createPolicies(pools),
    recorder,
    rotations: createRotations(pools, secrets),
    runEndings: createRunEndings(pools),
    runs: createRuns(pools),
    settlements: createSettlements(pools),
    tallies,
    tools: createTools(pools, secrets),
    usage: createUsage(reads),

    /** What is open, over all tenants. */
    readStanding: () => readStanding(reads),

    /** What no other deployment's database says, unless it is a copy of this one. */
    identifyDeployment: async (): Promise<string> =>
      (await reads.selectFrom('deployment').select('id').executeTakeFirstOrThrow()).id,

    /** @throws when PostgreSQL does not answer. */
    ping: async () => {
      await probes.selectFrom('tenants').select('tenant').limit(1).execute();
    },

    close: async () => {
      await recorder.drained();
      clearInterval(folding);
      await tallies.drained();
      await bulletin.drained();
      await pools.close();
    },
  };
}
