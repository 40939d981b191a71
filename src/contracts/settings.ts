import { z } from 'zod';
import { optional } from './common.ts';

/** How long an approval is waited for where neither the policy nor the tenant says so: 24 hours. */
export const DEFAULT_APPROVAL_TTL_SECONDS = 86_400;

/** A minute to 30 days. */
export const ApprovalTtl = z.int().min(60).max(2_592_000);

const settings = {
  default_deny: z.boolean().meta({ description: 'Agents without a policy may call nothing (no_policy)' }),
  approval_ttl_seconds: ApprovalTtl.meta({
    description: 'How long a call waits for a person, unless its policy says so',
  }),
};

/** What holds for all agents of a tenant. */
export const Settings = z.object(settings).meta({ id: 'Settings' });
export type Settings = z.output<typeof Settings>;

/** The ones to change; the others stay as they are. */
export const SettingsRequest = z
  .looseObject({
    default_deny: optional(settings.default_deny),
    approval_ttl_seconds: optional(settings.approval_ttl_seconds),
  })
  .meta({ id: 'SettingsRequest' });
export type SettingsRequest = z.output<typeof SettingsRequest>;

export const SettingsAnswer = Settings.extend({
  ignored_fields: z
    .array(z.string())
    .optional()
    .meta({ description: 'What was sent and is no setting of this version' }),
}).meta({ id: 'SettingsAnswer' });
