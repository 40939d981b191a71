import type { Policy, PolicyTemplate } from '../contracts/policy.ts';

/**
 * The policies to begin with. None names a tool, since no tool exists everywhere: which tools an agent may use belongs into
 * the overrides. `read_only` may call the tools that its `allowed_tools` name, none where they name none, and may spend nothing.
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

/** An empty list would let it call every tool (contract, section 6); a limit of 0 allows nothing. */
const nothingAtAll: Policy = { max_actions_per_hour: 0 };

/** The template's policy, in which each field of `overrides` takes the place of the template's own. */
export function policyFrom(template: PolicyTemplate, overrides: Policy): Policy {
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  const namesNone = template === 'read_only' && (overrides.allowed_tools ?? []).length === 0;
  return { ...templates[template], ...given, ...(namesNone && nothingAtAll) };
}
