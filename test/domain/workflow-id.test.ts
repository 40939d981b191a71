import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  actionWorkflowId,
  derivedActionWorkflowId,
  isDerivedActionWorkflowId,
  leaseWorkflowId,
  lockWorkflowId,
} from '../../src/domain/workflow-id.ts';

const key = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 256 }),
    fc.string({ unit: 'binary', minLength: 1 }),
    fc.constantFrom('k:a', 'h:a', 'a/b', ' '),
  )
  .filter((text) => text.isWellFormed());
const tenant = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,39}$/);

describe('workflow IDs', () => {
  test('fit into what SQL stores keep, and hold no control character', () => {
    fc.assert(
      fc.property(tenant, key, (owner, name) => {
        for (const id of [lockWorkflowId(owner, name), leaseWorkflowId(owner, name), actionWorkflowId(owner, name)]) {
          expect(Buffer.byteLength(id)).toBeLessThanOrEqual(200);
          expect(id).not.toMatch(/\p{Cc}/u);
        }
      }),
    );
  });

  test('are different for different tenants, keys and kinds', () => {
    fc.assert(
      fc.property(tenant, tenant, key, key, (one, other, a, b) => {
        fc.pre(one !== other || a !== b);
        expect(lockWorkflowId(one, a)).not.toBe(lockWorkflowId(other, b));
        expect(lockWorkflowId(one, a)).not.toBe(leaseWorkflowId(one, a));
      }),
    );
  });

  test('say the same in every language: known values', () => {
    expect(actionWorkflowId('default', 'pay-1')).toBe('action/default/k:pay-1');
    expect(lockWorkflowId('t', 'a\nb')).toBe(
      'lock/t/h:7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78',
    );
    // sha256 of {"agent_id":"bot","args":{"a":1,"b":[2]},"tool":"charge"}
    const derived = derivedActionWorkflowId('default', { agent_id: 'bot', tool: 'charge', args: { b: [2], a: 1 } });
    expect(derived).toBe('action/default/d:6dd9d50d168918923a1ff7b6aeb31a600a1a151f0797b5ed790390fce945d02b');
    expect(isDerivedActionWorkflowId('default', derived)).toBe(true);
    expect(isDerivedActionWorkflowId('default', actionWorkflowId('default', 'd:x'))).toBe(false);
  });
});
