import type { Action, ActionAnswer } from '../../contracts/action.ts';
import type { JsonObject } from '../../contracts/common.ts';
import { whereToLook } from '../../domain/action.ts';
import { fingerprint } from '../../domain/fingerprint.ts';
import { actionWorkflowId, derivedActionWorkflowId } from '../../domain/workflow-id.ts';
import type { AcceptedAction, NewAccepted } from '../../store/accepted.ts';

/** A governed call as a route has parsed it. */
export interface GovernedCall {
  readonly tenant: string;
  readonly actor: string;
  readonly agentId: string;
  readonly tool: string;
  /** Without `run_id`. */
  readonly args: JsonObject;
  readonly runId: string | undefined;
  readonly spendUsd: number | undefined;
  readonly idempotencyKey: string | undefined;
  readonly waitSeconds: number | undefined;
  /** Aborted when the client has hung up: its waiting ends, never the call. */
  readonly signal?: AbortSignal;
}

/** A call with everything its identity is made of. */
export interface IdentifiedCall extends GovernedCall {
  readonly workflowId: string;
  readonly argsHash: string;
  readonly explicit: boolean;
  /** Its key is made for this one request: a repeat would not find it. */
  readonly unique: boolean;
}

/** Gives a call its key: the caller's own, else what it asks for. */
export function identify(call: GovernedCall): IdentifiedCall {
  const { tenant, agentId, tool, args, idempotencyKey } = call;
  const workflowId =
    idempotencyKey === undefined
      ? derivedActionWorkflowId(tenant, { agent_id: agentId, tool, args })
      : actionWorkflowId(tenant, idempotencyKey);
  return { ...call, workflowId, argsHash: fingerprint(args), explicit: idempotencyKey !== undefined, unique: false };
}

/** The caller's patience ran out before the action was even ruled on. */
export const undecided = ({ actionId, workflowId, runId }: NewAccepted): ActionAnswer => ({
  ok: false,
  allowed: false,
  decision: 'pending',
  policy_reason: 'still_running',
  risk_level: 'low',
  result: whereToLook(actionId),
  action_id: actionId,
  workflow_id: workflowId,
  run_id: runId,
  spend_usd: 0,
  policy_version: null,
});

/** The same as whoever asks for the action sees it. */
export function notYet(promised: AcceptedAction, link: (workflowId: string) => string): Action {
  const { ok: _ok, allowed: _allowed, ...answer } = undecided(promised);
  const { refused: error } = promised;
  return {
    ...answer,
    ...(error === null
      ? ({ status: 'pending' } as const)
      : ({ status: 'failed', decision: 'failed', policy_reason: 'tool_error' } as const)),
    agent_id: promised.agentId,
    tool: promised.tool,
    tool_version: null,
    args_hash: promised.argsHash,
    fence: null,
    attempts: [],
    result: error === null ? null : { error, http_status: null, detail: null },
    temporal_url: link(promised.workflowId),
    created_at: promised.acceptedAt.toISOString(),
    done_at: null,
  };
}
