import { z } from 'zod';
import { Key, Metadata, Moment, Owner, optional, Ttl } from './common.ts';

export const CheckLockRequest = z
  .object({ key: Key, ttl: optional(Ttl), metadata: optional(Metadata), owner: optional(Owner) })
  .meta({ id: 'CheckLockRequest' });
export type CheckLockRequest = z.output<typeof CheckLockRequest>;

export const CheckLockAnswer = z
  .object({
    success: z.boolean(),
    status: z.enum(['locked', 'duplicate']),
    key: z.string(),
    ttl: z.int(),
    first_seen_at: Moment.nullable(),
  })
  .meta({ id: 'CheckLockAnswer' });
export type CheckLockAnswer = z.output<typeof CheckLockAnswer>;

/** Input of the `checkLock` workflow, which no worker ever runs: open means locked. */
export interface CheckLockInput {
  readonly tenant: string;
  readonly key: string;
  readonly ttl: number;
  readonly owner?: string;
  readonly metadata?: Record<string, unknown>;
}
