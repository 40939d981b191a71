import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { Refusal } from '../contracts/errors.ts';

// https://grpc.io/docs/guides/status-codes/
const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const RESOURCE_EXHAUSTED = 8;
/** The workers have failed with the workflow several times in a row, by crashing for instance: an update has to wait. */
const FAILED_PRECONDITION = 9;
const ABORTED = 10;
const UNAVAILABLE = 14;
const passing: ReadonlySet<number> = new Set([
  CANCELLED,
  DEADLINE_EXCEEDED,
  RESOURCE_EXHAUSTED,
  FAILED_PRECONDITION,
  ABORTED,
  UNAVAILABLE,
]);

function codeOf(error: unknown): number | undefined {
  if (isGrpcServiceError(error)) return error.code;
  return error instanceof ServiceError && isGrpcServiceError(error.cause) ? error.cause.code : undefined;
}

/** Temporal cannot be reached, or has no room, for now. */
export const isTemporalUnavailable = (error: unknown): boolean => passing.has(codeOf(error) ?? -1);

/** There is no such workflow, or it is closed. */
export const isWorkflowNotFound = (error: unknown): boolean =>
  error instanceof WorkflowNotFoundError || codeOf(error) === NOT_FOUND;

/** The fault as a refusal that the caller may repeat, where it is one. */
export const asUnavailable = (error: unknown): unknown =>
  isTemporalUnavailable(error) ? new Refusal('unavailable', {}, error) : error;
