import type { Reconciled } from '../activities/reconcile.ts';
import { reconcile as round } from './steps.ts';

/** One round of the referee between rows and workflows; a schedule starts it (docs/operations.md). */
export async function reconcile(): Promise<Reconciled> {
  return await round();
}
