/** Every workflow of the product; an application that brings its own worker re-exports these from its workflows file. */
export { agentRun } from './agent-run.ts';
export { checkLock } from './check-lock.ts';
export { governedAction } from './governed-action.ts';
export { lease } from './lease.ts';
export { reconcile } from './reconcile.ts';
