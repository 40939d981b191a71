/** Every workflow of the product; an application that brings its own worker re-exports these from its workflows file. */
export { checkLock } from './check-lock.ts';
export { governedAction } from './governed-action.ts';
export { lease } from './lease.ts';
