import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createTurns, MissedTurn, ofAgent, type TurnLimits } from '../../src/store/turns.ts';

const limits: TurnLimits = { places: 4, ofOne: 2, patienceMs: 60_000, waiting: 100, waitingOfOne: 50 };

/** Writes that are under way until they are told to end. */
function scene(differs: Partial<TurnLimits> = {}) {
  const turns = createTurns({ ...limits, ...differs });
  const begun: string[] = [];
  const ends: Array<() => void> = [];
  const write = (tenant: string, agent: string, name = agent) =>
    turns.within(ofAgent(tenant, agent), async () => {
      begun.push(name);
      await new Promise<void>((end) => ends.push(end));
    });
  /** Lets whatever is ready go on. */
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const endOne = async (which = 0) => {
    ends.splice(which % Math.max(1, ends.length), 1)[0]?.();
    await settle();
  };
  return { turns, begun, write, settle, endOne, underWay: () => ends.length };
}

test('writes of one agent begin in their order, two at once', async () => {
  const { begun, write, settle, endOne } = scene();
  const all = Promise.all(['a1', 'a2', 'a3', 'a4'].map((name) => write('t', 'a', name)));
  await settle();
  expect(begun).toEqual(['a1', 'a2']);
  for (let n = 0; n < 4; n += 1) await endOne();
  await all;
  expect(begun).toEqual(['a1', 'a2', 'a3', 'a4']);
});

test('an agent whose writes stand holds up neither another agent nor another tenant', async () => {
  const { begun, write, settle, endOne } = scene({ places: 8 });
  const standing = Array.from({ length: 20 }, () => write('t', 'stuck'));
  const others = [write('t', 'other'), write('u', 'stuck', 'neighbour')];
  await settle();
  expect(begun).toEqual(['stuck', 'stuck', 'other', 'neighbour']);
  for (let n = 0; n < 22; n += 1) await endOne();
  await Promise.all([...standing, ...others]);
});

test('a tenant whose agents all stand leaves room for the next one, and for the one after', async () => {
  const { begun, write, settle, endOne } = scene({ places: 8 });
  const all = Array.from({ length: 20 }, (_, n) => write('t', `agent-${n}`, 't'));
  await settle();
  expect(begun).toHaveLength(4);
  all.push(write('u', 'one', 'u'), write('v', 'one', 'v'));
  await settle();
  expect(begun.slice(4)).toEqual(['u', 'v']);
  for (let n = 0; n < all.length; n += 1) await endOne();
  await Promise.all(all);
});

test('what fails gives its place back', async () => {
  const { turns, begun, write, settle, endOne } = scene({ places: 2, ofOne: 1 });
  await expect(turns.within(ofAgent('t', 'a'), () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  const next = write('t', 'a');
  await settle();
  expect(begun).toEqual(['a']);
  await endOne();
  await next;
  expect(turns.underWay()).toBe(0);
});

describe('a write is given up before it began', () => {
  test('where its turn does not come in time; those behind it keep theirs', async () => {
    const { begun, write, endOne } = scene({ patienceMs: 20, ofOne: 1 });
    const first = write('t', 'a', 'first');
    await expect(write('t', 'a', 'late')).rejects.toThrow(MissedTurn);
    const next = write('t', 'a', 'next');
    await endOne();
    await endOne();
    await Promise.all([first, next]);
    expect(begun).toEqual(['first', 'next']);
  });

  test('not while those ahead are done, however long it takes in all', async () => {
    const turns = createTurns({ ...limits, patienceMs: 200, ofOne: 1 });
    const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all(Array.from({ length: 30 }, () => turns.within(ofAgent('t', 'a'), pause)));
  });

  test('at the moment that it names, though those ahead are done', async () => {
    const turns = createTurns({ ...limits, ofOne: 1 });
    const isOver = new AbortController();
    const busy = async () => {
      while (!isOver.signal.aborted)
        await turns.within(ofAgent('t', 'a'), () => new Promise((resolve) => setTimeout(resolve, 5)));
    };
    const others = Promise.all(Array.from({ length: 20 }, busy));
    let begun = false;
    const late = turns.within(ofAgent('t', 'a'), async () => (begun = true), Date.now() + 20);
    await expect(late).rejects.toThrow(MissedTurn);
    isOver.abort();
    await others;
    expect(begun).toBe(false);
  });

  test('where too many of its agent wait; another agent may still wait', async () => {
    const { write, settle, endOne } = scene({ waitingOfOne: 3, ofOne: 1, places: 2 });
    const waiting = Array.from({ length: 4 }, () => write('t', 'a'));
    await expect(write('t', 'a')).rejects.toThrow(MissedTurn);
    const other = write('t', 'b');
    await settle();
    for (let n = 0; n < 5; n += 1) await endOne();
    await Promise.all([...waiting, other]);
  });
});

test('under any sequence every write begins or is refused, none is forgotten, and no bound is passed', async () => {
  const step = fc.record({ tenant: fc.nat(2), agent: fc.nat(3), ends: fc.boolean(), which: fc.nat(100) });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 80 }), async (places, steps) => {
      const { begun, write, endOne, settle, underWay, turns } = scene({ places, waitingOfOne: 4 });
      let refused = 0;
      const asked = new Map<string, string[]>();
      const writes: Promise<void>[] = [];
      for (const [n, { tenant, agent, ends, which }] of steps.entries()) {
        if (ends) await endOne(which);
        else {
          const [name, of] = [`${tenant}/${agent}/${n}`, `${tenant}/${agent}`];
          const write1 = write(String(tenant), String(agent), name);
          asked.set(of, [...(asked.get(of) ?? []), name]);
          writes.push(
            write1.catch((error: unknown) => {
              expect(error).toBeInstanceOf(MissedTurn);
              refused += 1;
              asked.set(of, asked.get(of)?.filter((one) => one !== name) ?? []);
            }),
          );
          await settle();
        }
        expect(underWay()).toBeLessThanOrEqual(places);
      }
      while (underWay() > 0) await endOne();
      await Promise.all(writes);
      expect(begun.length + refused).toBe(writes.length);
      expect(turns.underWay()).toBe(0);
      for (const [of, names] of asked) expect(begun.filter((name) => name.startsWith(`${of}/`))).toEqual(names);
    }),
    { numRuns: 60 },
  );
});
