import { account } from './account.ts';
import { actions } from './actions.ts';
import { agents } from './agents.ts';
import { approvals } from './approvals.ts';
import { audit } from './audit.ts';
import type { OperationExamples } from './example.ts';
import { idempotency } from './idempotency.ts';
import { keys } from './keys.ts';
import { kill } from './kill.ts';
import { leases } from './leases.ts';
import { policies } from './policies.ts';
import { runs } from './runs.ts';
import { settings } from './settings.ts';
import { tools } from './tools.ts';
import { usage } from './usage.ts';

/** Of every operation, by its method and path. */
export const examples: OperationExamples = {
  ...idempotency,
  ...leases,
  ...actions,
  ...tools,
  ...policies,
  ...approvals,
  ...runs,
  ...agents,
  ...account,
  ...usage,
  ...audit,
  ...keys,
  ...kill,
  ...settings,
};
