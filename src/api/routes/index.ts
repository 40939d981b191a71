import type { Route } from '../route.ts';
import { account } from './account.ts';
import { actions } from './actions.ts';
import { agents } from './agents.ts';
import { approvals } from './approvals.ts';
import { audit } from './audit.ts';
import { checkLock } from './check-lock.ts';
import { decisions } from './decisions.ts';
import { keys } from './keys.ts';
import { kills } from './kill.ts';
import { leases } from './leases.ts';
import { policies } from './policies.ts';
import { runs } from './runs.ts';
import { settings } from './settings.ts';
import { tools } from './tools.ts';
import { usages } from './usage.ts';

/** Every route under `/v1`. */
export const routes: readonly Route[] = [
  checkLock,
  ...leases,
  ...actions,
  ...tools,
  ...policies,
  ...decisions,
  ...approvals,
  ...runs,
  ...agents,
  ...kills,
  ...account,
  ...usages,
  ...audit,
  ...keys,
  ...settings,
];
