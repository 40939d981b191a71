import { z } from 'zod';
import { Actor, JsonObject, Moment, optional, text } from './common.ts';

export const ApprovalStatus = z.enum(['pending', 'approved', 'denied', 'expired', 'superseded']);
export type ApprovalStatus = z.output<typeof ApprovalStatus>;

/** A call that waits for a person, or that one has decided on. */
export const Approval = z
  .object({
    id: z.string(),
    action_id: z.string(),
    agent_id: z.string(),
    tool: z.string(),
    tool_version: z
      .int()
      .meta({ description: 'The version of the tool that was shown: another one has to be approved anew' }),
    target: z.string().meta({ description: 'Where the call would go' }),
    spend_usd: z.number(),
    policy_version: z.int().nullable(),
    rule: z.string().meta({ description: 'What of the policy asks for it' }),
    args: JsonObject,
    digest: z
      .string()
      .meta({ description: 'SHA-256 of the RFC 8785 JSON of agent_id, args and tool: what is approved' }),
    status: ApprovalStatus,
    requested_at: Moment,
    expires_at: Moment,
    decided_by: z.string().nullable().meta({ description: 'Who was authenticated' }),
    claimed_actor: z.string().nullable().meta({ description: 'Whom they named' }),
    reason: z.string().nullable(),
  })
  .meta({ id: 'Approval' });
export type Approval = z.output<typeof Approval>;

/** Why, and who says so where it is not the key itself: a person, as the operator's own tool knows them. */
export const ApprovalRequest = z
  .object({ reason: optional(text(512, 0)), actor: optional(Actor) })
  .meta({ id: 'ApprovalRequest' });
export type ApprovalRequest = z.output<typeof ApprovalRequest>;

/** The argument of the updates `approve` and `deny` of the `governedAction` workflow. */
export const ApprovalCall = z.object({ actor: Actor, reason: optional(text(512, 0)) });
export interface ApprovalCall {
  readonly actor: string;
  readonly reason?: string;
}
