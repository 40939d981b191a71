import type { RefusalCode } from '../../contracts/errors.ts';
import { agent_id, asked_at, key, run_id, tool } from './story.ts';

/** What a refusal says beside its code and its message. */
export const extras: Partial<Record<RefusalCode, Readonly<Record<string, unknown>>>> = {
  tool_not_found: { tool },
  lease_not_found: { key },
  lease_mismatch: { key },
  lease_not_active: { key },
  run_not_found: { run_id },
  policy_not_found: { agent_id },
  version_mismatch: { version: 4 },
  unknown_tools: { tools: ['stripe.refund'] },
  action_not_in_doubt: { status: 'executed' },
  approval_decided: { status: 'approved' },
  agent_not_permitted: { agent_id },
  duplicate_blocked: { first_seen_at: asked_at },
};
