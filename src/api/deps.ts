import type { Logger } from 'pino';
import type { Limits } from '../cache/limiter.ts';
import type { Config } from '../config.ts';
import type { TargetGuard } from '../dispatch/guard.ts';
import type { Actions } from '../engine/action/actions.ts';
import type { Agents } from '../engine/agents.ts';
import type { Approvals } from '../engine/approvals.ts';
import type { Decisions } from '../engine/decisions.ts';
import type { Leases } from '../engine/leases.ts';
import type { Locks } from '../engine/locks.ts';
import type { Judge } from '../judge/judge.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Scraper } from '../metrics/scrape.ts';
import type { Stores } from '../store/stores.ts';
import type { Authenticator } from './authenticate.ts';

/** What the API is made of; wired once, in `product.ts`. */
export interface ApiDeps {
  readonly config: Config;
  readonly log: Logger;
  readonly stores: Stores;
  readonly authenticator: Authenticator;
  readonly guard: TargetGuard;
  readonly locks: Locks;
  readonly leases: Leases;
  readonly actions: Actions;
  readonly agents: Agents;
  readonly approvals: Approvals;
  readonly decisions: Decisions;
  readonly judge: Judge;
  /** How often a key may ask, and a network guess keys. */
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly scrape: Scraper;
  /** Rejects while Temporal does not answer. */
  readonly pingTemporal: () => Promise<void>;
  /** Whether the worker of this process, if it has one, is at work. */
  readonly isWorkerReady: () => boolean;
  /** Whether this process has the master key that the database was made with. */
  readonly hasMasterKey: () => boolean;
}
