import type { Explanation, Simulation } from '../../contracts/decision.ts';
import type { Policy, PolicyAnswer } from '../../contracts/policy.ts';
import { type OperationExamples, single } from './example.ts';
import { action_id, agent_id, args, args_hash, asked_at, tool } from './story.ts';

const limits = {
  allowed_tools: [tool, 'email.send'],
  max_actions_per_hour: 100,
  max_spend_usd_per_day: 500,
  max_calls_per_tool: { [tool]: 20 },
  pricing_rules: [{ tool, price_usd: 0.3 }],
} satisfies Policy;
const conditional = {
  conditions: [{ name: 'small-charges', expression: 'args.amount <= 10000 && args.currency == "usd"', tools: [tool] }],
} satisfies Policy;
const stored = { agent_id, policy: limits, policy_version: 3 } satisfies PolicyAnswer;
const allowed = { decision: 'allowed', policy_reason: 'ok' } as const;
const blocked = { decision: 'blocked', policy_reason: 'max_spend_usd_per_day_exceeded' } as const;

const checks: Explanation['checks'] = [
  { check: 'agent_disabled', passed: true },
  { check: 'tool_disabled', passed: true },
  { check: 'tool_explicitly_blocked', passed: true },
  { check: 'tool_not_in_allowed_list', passed: true },
  { check: 'condition_not_met', passed: true },
  { check: 'max_calls_per_tool_exceeded', passed: true, detail: { limit: 20, used: 4 } },
  { check: 'max_actions_per_hour_exceeded', passed: true, detail: { limit: 100, used: 12 } },
  { check: 'max_spend_usd_per_day_exceeded', passed: true, detail: { limit: 500, used: 120, spend_usd: 42 } },
  { check: 'approval_required', passed: true },
];

const called = {
  agent_id,
  ...allowed,
  risk_level: 'low',
  spend_usd: 42,
  checks,
} satisfies Simulation;

const replayed = {
  agent_id,
  days: 7,
  replayed: 1840,
  complete: true,
  changed: 1,
  changes: [{ action_id, ts: asked_at, tool, args_hash, spend_usd: 42, before: allowed, after: blocked }],
} satisfies Simulation;

const explained = {
  action_id,
  agent_id,
  tool,
  ...allowed,
  risk_level: 'low',
  policy_version: 3,
  policy: limits,
  decided_at: asked_at,
  inputs: {
    args,
    args_hash,
    asked_spend_usd: 42,
    tool_price_usd: 0.3,
    spend_usd: 42,
    agent_enabled: true,
    tool_enabled: true,
    actions_this_hour: 12,
    tool_calls_today: 4,
    spent_usd_today: 120,
  },
  checks,
  outcome: 'executed',
} satisfies Explanation;

export const policies: OperationExamples = {
  'post /v1/policies/:agent_id': {
    id: 'savePolicy',
    description:
      'What an agent may do, and how much of it: hours and days are those of UTC, money is US dollars. What is left out limits nothing, a limit of 0 allows nothing. ' +
      'Each change is a version of its own, which decisions name. With `If-Match: "3"` it follows that version or is a 412. What is no part of a policy is named in `ignored_fields`. A condition that cannot be compiled is a 422 with its line and column.',
    parameters: { agent_id },
    body: {
      limits: { summary: 'Limits on calls and money', value: limits },
      conditions: { summary: 'Conditions on arguments, in CEL', value: conditional },
      approval: {
        summary: 'Every charge waits for a person',
        value: { allowed_tools: [tool], require_approval: [tool] } satisfies Policy,
      },
    },
    answers: { 200: single('The third version', stored) },
  },
  'post /v1/policies/:agent_id/from-template': {
    id: 'savePolicyFromTemplate',
    description:
      'Each field of `overrides` takes the place of the template’s own. `read_only` allows the tools that its `allowed_tools` name, and none where they name none. `If-Match` as with a policy.',
    parameters: { agent_id },
    body: {
      simple: { summary: 'As it is', value: { template: 'moderate' } },
      overrides: {
        summary: 'With a budget of its own',
        value: { template: 'strict', overrides: { max_spend_usd_per_day: 500 } },
      },
    },
    answers: { 200: single('The third version', stored) },
  },
  'get /v1/policies': { id: 'listPolicies', answers: { 200: single('One agent has one', [stored]) } },
  'get /v1/policies/:agent_id': {
    id: 'getPolicy',
    parameters: { agent_id },
    answers: { 200: single('The third version', stored) },
  },
  'post /v1/policies/:agent_id/simulate': {
    id: 'simulatePolicy',
    description:
      'Give either `call` or `days` (1 to 90). Without `policy` it is the one in force. Nothing is stored, sent or counted.',
    parameters: { agent_id },
    body: {
      call: { summary: 'Would this call be allowed?', value: { call: { tool, args, spend_usd: 42 } } },
      draft: {
        summary: 'Would it be under another policy?',
        value: { policy: conditional, call: { tool, args, spend_usd: 42 } },
      },
      days: {
        summary: 'What would a smaller budget have changed in the last week?',
        value: { policy: { max_spend_usd_per_day: 100 }, days: 7 },
      },
    },
    answers: {
      200: {
        call: { summary: 'Of a call', value: called },
        days: { summary: 'Of some days', value: replayed },
      },
    },
  },
  'get /v1/decisions/:action_id/explain': {
    id: 'explainDecision',
    description: 'Every check once more, over what was known when the decision was made.',
    parameters: { action_id },
    answers: { 200: single('Allowed', explained) },
  },
};
