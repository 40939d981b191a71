import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { Refusal } from '../contracts/errors.ts';
import { isDatabaseUnavailable } from '../store/database.ts';

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
/** Codes with which a request may have been carried out all the same: its answer is what is missing. */
const ambiguous: ReadonlySet<number> = new Set([CANCELLED, DEADLINE_EXCEEDED, ABORTED, UNAVAILABLE]);

interface Fault {
  readonly code: number;
  readonly details: string;
}

function faultIn(error: unknown): Fault | undefined {
  if (isGrpcServiceError(error)) return error;
  if (error instanceof ServiceError && isGrpcServiceError(error.cause)) return error.cause;
  return undefined;
}

/** The namespace is not there: a server that is starting, or a deployment that is not set up. */
const isNamespaceMissing = ({ code, details }: Fault): boolean => code === NOT_FOUND && /^namespace /i.test(details);

/** The connection could not be made, so that nothing was sent by it; the SDK says so in words, with or without a code. */
const isNotConnected = (error: unknown): boolean => error instanceof Error && /^failed to connect/i.test(error.message);

/** Temporal cannot be reached, or has no room, for now. */
export function isTemporalUnavailable(error: unknown): boolean {
  const fault = faultIn(error);
  if (fault === undefined) return isNotConnected(error);
  return passing.has(fault.code) || isNamespaceMissing(fault);
}

/** There is no such workflow, or it is closed. */
export function isWorkflowNotFound(error: unknown): boolean {
  const fault = faultIn(error);
  if (fault !== undefined && isNamespaceMissing(fault)) return false;
  return error instanceof WorkflowNotFoundError || fault?.code === NOT_FOUND;
}

/**
 * Whether a request may have reached the server although it failed. It has not where no connection stood that could have
 * taken it, which the client says in words (`@grpc/grpc-js`: load-balancer-pick-first, resolver-dns, resolving-call).
 */
export function mayHaveArrived(error: unknown): boolean {
  if (isNotConnected(error)) return false;
  const fault = faultIn(error);
  if (fault === undefined) return true;
  if (!ambiguous.has(fault.code)) return false;
  if (/remote_addr=/.test(fault.details)) return true;
  return !/no connection established|name resolution failed|waiting for lb pick|channel has been (shut down|closed)/i.test(
    fault.details,
  );
}

/** The server has no room at this moment, or lost a race within itself: the same again may well succeed. */
export const isWorthRepeating = (error: unknown): boolean => {
  const code = faultIn(error)?.code;
  return code === RESOURCE_EXHAUSTED || code === ABORTED || code === UNAVAILABLE;
};

/** The fault as a refusal that the caller may repeat, where it is one. */
export const asUnavailable = (error: unknown): unknown =>
  isTemporalUnavailable(error) ? new Refusal('unavailable', {}, error) : error;

/**
 * Once something was accepted, or may have been, nobody is told that nothing happened.
 *
 * @throws {Refusal} `outcome_unknown` in the place of what says that a service is away; every other fault as it is.
 */
export function unknownIfAway(error: unknown): never {
  if (isDatabaseUnavailable(error) || (error instanceof Refusal && error.code === 'unavailable'))
    throw new Refusal('outcome_unknown', {}, error);
  throw error;
}
