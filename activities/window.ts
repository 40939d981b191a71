import type { ActionRecord } from '../src/domain/action.ts';
import { LEASE_MEMORY_DAYS } from '../src/domain/lease.ts';
import { isDerivedActionWorkflowId } from '../src/domain/workflow-id.ts';

/** An explicit Idempotency-Key, or a workflow ID of the caller's own, is remembered for a day (contract, section 5). */
const EXPLICIT_KEY_SECONDS = 86_400;

/**
 * Seconds for which a repeat of the action is recognised: the tool's own window where the key was derived from the call, and
 * for an action of a run as long as the run may be gone on with.
 */
export function windowSeconds(tenant: string, action: ActionRecord, dedupTtl: number): number {
  if (action.ofRun) return LEASE_MEMORY_DAYS * 86_400;
  return isDerivedActionWorkflowId(tenant, action.workflowId) ? dedupTtl : EXPLICIT_KEY_SECONDS;
}
