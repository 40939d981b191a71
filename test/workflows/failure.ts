import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';

/** Why a workflow or an update has failed, as its client is told. */
export async function failureOf(asked: Promise<unknown>): Promise<ApplicationFailure> {
  const error = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError)) throw error;
  if (!(error.cause instanceof ApplicationFailure)) throw error.cause;
  return error.cause;
}
