import type { Policy, PolicyTemplate } from '../contracts/policy.ts';

/**
 * The policies to begin with. None names a tool, since no tool exists everywhere: which tools an agent may use belongs into
 * the overrides. `read_only` may spend nothing, so that only free tools are left to it.
 *
 * | template | actions an hour | US dollars a day | for |
 * | --- | --- | --- | --- |
 * | `strict` | 20 | 5 | an agent nobody knows yet |
 * | `moderate` | 100 | 50 | everyday work |
 * | `permissive` | 1,000 | 500 | a trusted agent with much to do |
 * | `read_only` | 500 | 0 | looking things up |
 * | `support_bot` | 200 | 20 | answering customers, with the odd refund |
 */
export const templates: Readonly<Record<PolicyTemplate, Policy>> = {
  strict: { max_actions_per_hour: 20, max_spend_usd_per_day: 5 },
  moderate: { max_actions_per_hour: 100, max_spend_usd_per_day: 50 },
  permissive: { max_actions_per_hour: 1_000, max_spend_usd_per_day: 500 },
  read_only: { max_actions_per_hour: 500, max_spend_usd_per_day: 0 },
  support_bot: { max_actions_per_hour: 200, max_spend_usd_per_day: 20 },
};

/** The template's policy, in which each field of `overrides` takes the place of the template's own. */
export const policyFrom = (template: PolicyTemplate, overrides: Policy): Policy => ({
  ...templates[template],
  ...Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined)),
});
