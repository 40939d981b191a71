import type { ActionAnswer } from '../contracts/action.ts';
import { type ActionRecord, answerOf } from './action.ts';

/** Why a call came to nothing without a row of its own; each is the type of the failure that its workflow closes with. */
export type RefusedCall = 'tool_not_found' | 'idempotency_mismatch' | 'validation_error' | 'not_begun';

/** What became of a call, as far as whoever waits for it is told. */
export type Outcome =
  | { readonly kind: 'answer'; readonly answer: ActionAnswer }
  | { readonly kind: 'refused'; readonly code: RefusedCall };

/** An outcome with the call it is of: the action that the workflow stands for, and the workflow. */
export interface News {
  readonly workflowId: string;
  readonly actionId: string;
  readonly outcome: Outcome;
}

/** What its row says of an action, as news. */
export const newsOf = (action: ActionRecord): News => ({
  workflowId: action.workflowId,
  actionId: action.actionId,
  outcome: { kind: 'answer', answer: answerOf(action) },
});

/** Whether a type of failure is one of a refused call. */
export const isRefusedCall = (type: string): type is RefusedCall =>
  ['tool_not_found', 'idempotency_mismatch', 'validation_error', 'not_begun'].includes(type);
