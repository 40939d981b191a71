import type { CheckLockInput } from '../src/contracts/check-lock.ts';

/**
 * A lock: open means locked. It is started with a start delay beyond its execution timeout, so that the server closes
 * it at its time to live and no worker ever runs this. A caller that starts it otherwise gets a lock that is free at once.
 */
export async function checkLock(_input: CheckLockInput): Promise<void> {}
