import type { ActionAnswer, PolicyReason, RiskLevel } from '../contracts/action.ts';
import type { JsonObject } from '../contracts/common.ts';
import { toUsd } from './money.ts';

/**
 * | status | holds | ends by |
 * | --- | --- | --- |
 * | waiting_approval | its key | a person, the clock, the switch: running or blocked |
 * | running | its key and its money | the function of its attempts (`attempts.ts`), or what gives it up (`abandonment.ts`) |
 * | in_doubt | its key and its money | proof: a 2xx under the same key, `status_url`, a person |
 * | executed | its key, while it is remembered; its money is spent | |
 * | failed | its key, only where it is remembered | |
 * | blocked | nothing | |
 */
export type StoredStatus = 'waiting_approval' | 'running' | 'executed' | 'blocked' | 'failed' | 'in_doubt';

/** An action as it stands in the store. */
export interface ActionRecord {
  readonly actionId: string;
  readonly workflowId: string;
  readonly agentId: string;
  readonly tool: string;
  readonly toolScope: string;
  /** The version of the tool it was made with; null where it is of before there were versions, or names no tool. */
  readonly toolVersion: number | null;
  readonly argsHash: string;
  readonly spendMicros: number;
  readonly status: StoredStatus;
  readonly policyReason: PolicyReason;
  readonly policyVersion: number | null;
  readonly riskLevel: RiskLevel;
  readonly fence: number | null;
  readonly runId: string;
  /** Whether it is one of several of an `agentRun`, which tells of its own end on the timeline. */
  readonly ofRun: boolean;
  /** The condition of the policy that was not met, where that is why it was blocked. */
  readonly condition: string | null;
  /** Why its arguments did not fit the tool's schema, where that is why it was blocked. */
  readonly argumentsError: string | null;
  readonly actor: string | null;
  readonly result: JsonObject | null;
}

/** The id of the action that a workflow stands for, by the run it began with. */
export const actionOfRun = (runId: string): string => `act_${runId.replaceAll('-', '')}`;

/** The run that an action's workflow began with: an id of its own, whoever holds the key by now. */
export const runOfAction = (actionId: string): string =>
  actionId.replace(/^act_(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/** Whether an action is still on its way; one in doubt is not, as its caller has been told so. */
export const isOpen = (status: StoredStatus): boolean => status === 'running' || status === 'waiting_approval';

const decisions = {
  waiting_approval: 'pending',
  running: 'pending',
  executed: 'executed',
  blocked: 'blocked',
  failed: 'failed',
  in_doubt: 'in_doubt',
} as const;

/** Where its caller finds out what becomes of it. */
export const whereToLook = (actionId: string) => ({ action_id: actionId, status_url: `/v1/actions/${actionId}` });

/** Why a caller has no result yet; a row that is running says `ok`, since nothing speaks against it. */
const told = ({ status, policyReason }: ActionRecord): PolicyReason =>
  status === 'running' ? 'still_running' : policyReason;

/**
 * What the caller is told of an action. `ok` and `allowed` are true only where there is a result to use (contract,
 * section 5). What was refused or failed has spent nothing.
 */
export const answerOf = (action: ActionRecord): ActionAnswer => ({
  ok: action.status === 'executed',
  allowed: action.status === 'executed',
  decision: decisions[action.status],
  policy_reason: told(action),
  risk_level: action.riskLevel,
  result: isOpen(action.status) || action.status === 'in_doubt' ? whereToLook(action.actionId) : action.result,
  action_id: action.actionId,
  workflow_id: action.workflowId,
  run_id: action.runId,
  spend_usd: action.status === 'blocked' || action.status === 'failed' ? 0 : toUsd(action.spendMicros),
  policy_version: action.policyVersion,
  ...(action.condition !== null && { condition: action.condition }),
  ...(action.argumentsError !== null && { arguments_error: action.argumentsError }),
});

/**
 * What everyone but the caller that started an action is told of it: the same result, spent once. A failure stays a
 * failure; what is blocked, in doubt or still pending reads the same for all (contract, sections 5 and 14).
 */
export function asRepeat(answer: ActionAnswer): ActionAnswer {
  if (answer.decision === 'executed') {
    return { ...answer, decision: 'dedup', policy_reason: 'tool_idempotency', spend_usd: 0 };
  }
  return answer.decision === 'failed' ? { ...answer, decision: 'dedup' } : answer;
}
