import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createShares, type GiveBack, type Shares } from '../../src/domain/shares.ts';

const fill = (shares: Shares, tenant: string, tool: string) => {
  const taken: GiveBack[] = [];
  for (;;) {
    const giveBack = shares.take(tenant, tool);
    if (giveBack === undefined) return taken;
    taken.push(giveBack);
  }
};

interface Held {
  readonly tenant: number;
  readonly giveBack: GiveBack;
}

function come(shares: Shares, slots: number, held: Held[], { tenant, tool }: { tenant: number; tool: number }): void {
  const [free, mine] = [slots - held.length, held.filter((one) => one.tenant === tenant).length];
  const giveBack = shares.take(`tenant-${tenant}`, `tool-${tool}`);
  if (mine === 0 && free > 0) expect(giveBack).toBeDefined();
  if (mine >= free) expect(giveBack).toBeUndefined();
  if (giveBack !== undefined) held.push({ tenant, giveBack });
}

describe('a fair share', () => {
  test('of one tool is a third, of one tenant not more than half, and shrinks as others come', () => {
    const shares = createShares({ slots: 120, tenantMax: 0, partMax: 0 });
    const slow = fill(shares, 'a', 'slow');
    expect(slow).toHaveLength(40);
    const more = ['x', 'y', 'z', 'u', 'v'].flatMap((tool) => fill(shares, 'a', tool));
    expect(slow.length + more.length).toBeLessThanOrEqual(60);
    expect(fill(shares, 'b', 'any').length).toBeGreaterThan(15);
    for (const giveBack of slow) giveBack();
    expect(fill(shares, 'a', 'slow').length).toBeLessThan(40);
  });

  test('under any sequence of comings and goings stays within the slots, and who is new comes in where any is free', () => {
    const step = fc.record({ tenant: fc.nat(5), tool: fc.nat(3), leaves: fc.boolean(), which: fc.nat(1_000) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.array(step, { maxLength: 300 }), (slots, steps) => {
        const shares = createShares({ slots, tenantMax: 0, partMax: 0 });
        const held: Held[] = [];
        for (const one of steps) {
          if (one.leaves && held.length > 0) held.splice(one.which % held.length, 1)[0]?.giveBack();
          else come(shares, slots, held, one);
          expect(shares.taken()).toBe(held.length);
          expect(held.length).toBeLessThanOrEqual(slots);
        }
      }),
    );
  });

  test('given back twice is free once', () => {
    const shares = createShares({ slots: 10, tenantMax: 0, partMax: 0 });
    const giveBack = shares.take('a', 't');
    shares.take('a', 't');
    giveBack?.();
    giveBack?.();
    expect(shares.taken()).toBe(1);
  });
});

test.each([
  [{ tenantMax: 7, partMax: 0 }, 4, 7],
  [{ tenantMax: 0, partMax: 3 }, 3, 6],
  [{ tenantMax: 5, partMax: 3 }, 3, 5],
])('with %j one tool has %i at once, and the tenant with a second one %i', (limits, ofTool, ofTenant) => {
  const shares = createShares({ slots: 100, ...limits });
  const [one, two] = [fill(shares, 'a', 'one'), fill(shares, 'a', 'two')];
  const third = limits.partMax > 0 ? [] : fill(shares, 'a', 'three');
  const fourth = limits.partMax > 0 ? [] : fill(shares, 'a', 'four');
  expect(one).toHaveLength(ofTool);
  expect(one.length + two.length + third.length + fourth.length).toBe(ofTenant);
});
