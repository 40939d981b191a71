import { ApplicationFailureCategory } from '@temporalio/common';
import { ApplicationFailure } from '@temporalio/workflow';

/** A refusal as a workflow tells it: final, its code is its type, and it is no fault of ours that a log should warn of. */
export const refusal = (code: string, message = code): ApplicationFailure =>
  ApplicationFailure.create({
    message,
    type: code,
    nonRetryable: true,
    category: ApplicationFailureCategory.BENIGN,
  });
