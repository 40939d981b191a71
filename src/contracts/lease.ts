import { z } from 'zod';
import { Actor, cutText, JsonObject, Key, Metadata, Moment, Owner, optional, Tenant, Ttl, text } from './common.ts';

export const LeaseRequest = z
  .object({
    key: Key,
    ttl: optional(Ttl),
    metadata: optional(Metadata),
    owner: optional(Owner),
    retry_failed: optional(z.boolean()),
  })
  .meta({ id: 'LeaseRequest' });

const held = { key: Key, lease_id: text(128).meta({ example: 'lease_0199…' }) };

export const ExtendRequest = z.object({ ...held, ttl: optional(Ttl) }).meta({ id: 'ExtendRequest' });
export const CompleteRequest = z
  .object({ ...held, result: optional(JsonObject), result_hash: optional(text(256)) })
  .meta({ id: 'CompleteRequest' });
export const FailRequest = z
  .object({ ...held, error_code: cutText(128, 1), error_hash: optional(text(256)) })
  .meta({ id: 'FailRequest' });
export const CancelRequest = z.object({ ...held, reason: optional(cutText(512)) }).meta({ id: 'CancelRequest' });

export type LeaseRequest = z.output<typeof LeaseRequest>;
export type ExtendRequest = z.output<typeof ExtendRequest>;
export type CompleteRequest = z.output<typeof CompleteRequest>;
export type FailRequest = z.output<typeof FailRequest>;
export type CancelRequest = z.output<typeof CancelRequest>;

/** `acquired` and `polling` answer an acquisition, `in_progress` a reading; both mean that the lease is held. */
export const LeaseStatus = z.enum(['acquired', 'polling', 'in_progress', 'completed', 'failed']);

const common = {
  ok: z.boolean(),
  status: LeaseStatus,
  key: z.string(),
  ttl_left: z.int().nullable(),
  lease_id: z.string().nullable(),
  version: z.int(),
  fence: z.int(),
  first_seen_at: Moment.nullable(),
  done_at: Moment.nullable(),
  result_hash: z.string().nullable(),
  error_code: z.string().nullable(),
  retry_after_sec: z.int().nullable(),
};

export const LeaseState = z.object(common).meta({ id: 'LeaseState' });
export type LeaseState = z.output<typeof LeaseState>;

export const Lease = z
  .object({
    ...common,
    ttl: z.int(),
    usage: z.int(),
    limit: z.int().nullable(),
    charged: z.union([z.literal(0), z.literal(1)]),
  })
  .meta({ id: 'Lease' });
export type Lease = z.output<typeof Lease>;

export const LeaseResult = z
  .object({
    ok: z.boolean(),
    status: LeaseStatus,
    key: z.string(),
    result: JsonObject.nullable(),
    result_hash: z.string().nullable(),
    error_code: z.string().nullable(),
    done_at: Moment.nullable(),
  })
  .meta({ id: 'LeaseResult' });
export type LeaseResult = z.output<typeof LeaseResult>;

export const ExtendAnswer = z
  .object({
    ok: z.literal(true),
    status: z.literal('extended'),
    key: z.string(),
    ttl: z.int(),
    version: z.int(),
    fence: z.int(),
  })
  .meta({ id: 'ExtendAnswer' });
export type ExtendAnswer = z.output<typeof ExtendAnswer>;

/** What a holder reports at the end of its work; the three ways differ only in what they carry. */
export type LeaseEnding =
  | { readonly state: 'completed'; readonly result: JsonObject | null; readonly resultHash: string | null }
  /** The result is what a run has done before it failed; a holder gives none. */
  | {
      readonly state: 'failed';
      readonly errorCode: string;
      readonly errorHash: string | null;
      readonly result?: JsonObject;
    }
  | { readonly state: 'canceled'; readonly reason: string | null };

/** Input of the `lease` workflow (contract, section 13): anybody may start it, so its first step parses it. */
export const LeaseInput = z.object({
  tenant: Tenant,
  key: Key,
  ttl: optional(Ttl),
  owner: optional(Owner),
  metadata: optional(Metadata),
  retry_failed: optional(z.boolean()),
  actor: optional(Actor),
  begin_before: optional(z.number()),
  by_row: optional(z.boolean()),
});
export interface LeaseInput {
  readonly tenant?: string;
  readonly key: string;
  /** Seconds. */
  readonly ttl?: number;
  readonly owner?: string;
  readonly metadata?: Record<string, unknown>;
  readonly retry_failed?: boolean;
  readonly actor?: string;
  /** Unix milliseconds by Temporal's clock: started later, it was refused already and acquires nothing. */
  readonly begin_before?: number;
  /** Whoever starts it writes the lease's row by itself, as REST does: the workflow only minds its time. */
  readonly by_row?: boolean;
  /** Set by the workflow itself when it continues as new; never by a caller. */
  readonly resume?: LeaseResume;
}

/** What a lease carries over when its history grows long: whether someone was told that it holds it. */
export interface LeaseResume {
  readonly granted: boolean;
}

/** How the argument of each update that changes a lease is parsed, once its key is put to it. */
export const leaseCalls = {
  extend: ExtendRequest.extend({ actor: optional(Actor) }),
  complete: CompleteRequest.extend({ actor: optional(Actor) }),
  fail: FailRequest.extend({ actor: optional(Actor) }),
  cancel: CancelRequest.extend({ actor: optional(Actor) }),
};

/** The one argument of each update of the `lease` workflow; `actor` is who asked, for the audit trail. */
export interface LeaseCall {
  readonly acquire: { readonly owner?: string };
  readonly extend: Holder & { readonly ttl?: number };
  readonly complete: Holder & { readonly result?: JsonObject; readonly result_hash?: string };
  readonly fail: Holder & { readonly error_code: string; readonly error_hash?: string };
  readonly cancel: Holder & { readonly reason?: string };
}

interface Holder {
  readonly lease_id: string;
  readonly actor?: string;
}
