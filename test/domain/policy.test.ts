import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Policy } from '../../src/contracts/policy.ts';
import { toMicros, toUsd } from '../../src/domain/money.ts';
import { type Call, type Considered, judge as judgeFound, spendMicros, type Used } from '../../src/domain/policy.ts';

/** No condition is met here: what they say is looked at in condition.test.ts. */
const judge = (considered: Considered) =>
  judgeFound({
    ...considered,
    misfit: considered.misfit,
    found: (considered.policy.conditions ?? []).map(({ name }) => ({ name, holds: false })),
  });
const names = ['a', 'b', 'c', '__proto__', 'constructor'];
const tool = fc.constantFrom(...names);
const policies: fc.Arbitrary<Policy> = fc.record(
  {
    allowed_tools: fc.uniqueArray(tool),
    blocked_tools: fc.uniqueArray(tool),
    max_actions_per_hour: fc.nat(5),
    max_spend_usd_per_day: fc.integer({ min: 0, max: 5_000 }).map((cents) => cents / 100),
    max_calls_per_tool: fc.dictionary(fc.constantFrom('a', 'b', 'constructor'), fc.nat(3)),
    pricing_rules: fc.array(fc.record({ tool, price_usd: fc.nat(5) })),
  },
  { requiredKeys: [] },
);
const nothing: Used = { actionsThisHour: 0, toolCallsToday: 0, microsToday: 0 };
const open: Call = {
  agent: 'agent',
  tool: 'a',
  args: {},
  time: new Date(0),
  spendMicros: 1,
  killed: false,
  agentEnabled: true,
  toolEnabled: true,
  policyMissing: false,
  approved: false,
};
const calls: fc.Arbitrary<Call> = fc.record({
  agent: fc.constant('agent'),
  args: fc.constant({}),
  time: fc.constant(new Date(0)),
  policyMissing: fc.boolean(),
  approved: fc.boolean(),
  tool,
  spendMicros: fc.nat(10_000_000),
  killed: fc.boolean(),
  agentEnabled: fc.boolean(),
  toolEnabled: fc.boolean(),
});
const used: fc.Arbitrary<Used> = fc.record({
  actionsThisHour: fc.nat(6),
  toolCallsToday: fc.nat(4),
  microsToday: fc.nat(60_000_000),
});

describe('a policy', () => {
  test('never lets a blocked tool through, whatever else it says', () => {
    fc.assert(
      fc.property(calls, policies, (call, policy) => {
        const blocked = { ...policy, blocked_tools: [...(policy.blocked_tools ?? []), call.tool] };
        expect(judge({ call, policy: blocked, used: nothing }).kind).toBe('deny');
      }),
    );
  });

  test('allows only listed tools where it lists any, and every tool where it lists none', () => {
    fc.assert(
      fc.property(calls, policies, (call, policy) => {
        const listed = policy.allowed_tools ?? [];
        const free = judge({
          call: { ...open, tool: call.tool },
          policy: { allowed_tools: listed, blocked_tools: [] },
          used: nothing,
        });
        expect(free.kind).toBe(listed.length === 0 || listed.includes(call.tool) ? 'allow' : 'deny');
      }),
    );
  });

  test('tells the first reason of the contract’s order', () => {
    const all: Policy = {
      blocked_tools: ['a'],
      allowed_tools: ['b'],
      max_calls_per_tool: { a: 0 },
      max_actions_per_hour: 0,
      max_spend_usd_per_day: 0,
      conditions: [{ name: 'never', expression: 'false' }],
      require_approval: ['a'],
    };
    const call = { ...open, killed: true, agentEnabled: false, toolEnabled: false, policyMissing: true };
    const alive = { ...call, killed: false };
    const missing = { ...alive, agentEnabled: true, toolEnabled: true };
    const enabled = { ...missing, policyMissing: false };
    const listed = { ...all, blocked_tools: [], allowed_tools: ['a'] };
    const met = { ...listed, conditions: [] };
    const reasons = [
      judge({ call, policy: all, used: nothing }),
      judge({ call: alive, policy: all, used: nothing }),
      judge({ call: { ...alive, agentEnabled: true }, policy: all, used: nothing }),
      judge({ call: enabled, policy: all, used: nothing }),
      judge({ call: missing, policy: { ...all, blocked_tools: [] }, used: nothing }),
      judge({ call: enabled, policy: { ...all, blocked_tools: [] }, used: nothing }),
      judge({ call: enabled, policy: listed, used: nothing }),
      judge({ call: enabled, policy: met, used: nothing }),
      judge({ call: enabled, policy: { ...met, max_calls_per_tool: {} }, used: nothing }),
      judge({ call: enabled, policy: { ...met, max_calls_per_tool: {}, max_actions_per_hour: 1 }, used: nothing }),
      judge({ call: enabled, policy: { require_approval: ['a'] }, used: nothing }),
    ].map((verdict) => (verdict.kind === 'deny' ? verdict.reason : verdict.kind));
    expect(reasons).toEqual([
      'killed',
      'agent_disabled',
      'tool_disabled',
      'tool_explicitly_blocked',
      'no_policy',
      'tool_not_in_allowed_list',
      'condition_not_met',
      'max_calls_per_tool_exceeded',
      'max_actions_per_hour_exceeded',
      'max_spend_usd_per_day_exceeded',
      'approval_required',
    ]);
  });

  test('under any sequence of calls, what it admits stays within its cap', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3_000_000)), fc.nat(10), (spends, capUsd) => {
        let microsToday = 0;
        for (const spend of spends) {
          const verdict = judge({
            call: { ...open, spendMicros: spend },
            policy: { max_spend_usd_per_day: capUsd },
            used: { ...nothing, microsToday },
          });
          if (verdict.kind === 'allow') microsToday += spend;
          expect(microsToday).toBeLessThanOrEqual(toMicros(capUsd));
        }
      }),
    );
  });

  test('never becomes laxer as more is used', () => {
    fc.assert(
      fc.property(calls, policies, used, used, (call, policy, one, more) => {
        const sum: Used = {
          actionsThisHour: one.actionsThisHour + more.actionsThisHour,
          toolCallsToday: one.toolCallsToday + more.toolCallsToday,
          microsToday: one.microsToday + more.microsToday,
        };
        const denied = judge({ call, policy, used: one }).kind === 'deny';
        if (denied) expect(judge({ call, policy, used: sum }).kind).toBe('deny');
      }),
    );
  });
});

describe('money', () => {
  test('is never less than the agent, the policy or the tool says', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.option(fc.nat(100_000_000)), policies, tool, (asked, priceMicros, policy, name) => {
        const spend = spendMicros(asked, { name, priceMicros }, policy);
        const prices = (policy.pricing_rules ?? [])
          .filter((rule) => rule.tool === name)
          .map((rule) => toMicros(rule.price_usd));
        expect(spend).toBe(Math.max(toMicros(asked), priceMicros ?? 0, ...prices));
      }),
    );
  });

  test('survives the way to the wire and back', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), (micros) => {
        expect(toMicros(toUsd(micros))).toBe(micros);
      }),
    );
  });
});
