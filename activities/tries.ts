import { Context } from '@temporalio/activity';
import { Refusal } from '../src/contracts/errors.ts';
import { isDatabaseUnavailable } from '../src/store/database.ts';

/** Tries of a step that fails in a way which does not pass by itself. */
const MAX_TRIES = 5;

/**
 * Whether a step that has failed is to be tried again as it is: because what it failed by passes (the store knows which), or
 * because it has not been tried often enough to say that it does not.
 */
export const isToBeRepeated = (error: unknown, tries?: number): boolean =>
  isDatabaseUnavailable(error) || isBusy(error) || (tries ?? Context.current().info.attempt) < MAX_TRIES;

/** Nothing was done, and its turn comes: too much of the same tenant waits to be judged. */
const isBusy = (error: unknown): boolean => error instanceof Refusal && error.code === 'unavailable';
