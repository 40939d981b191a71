import { expect, test } from 'vitest';
import { createBreaker, NotAsked } from '../../src/cache/breaker.ts';

/** A breaker over something that answers, fails, or does neither, with a clock that stands still unless it is set. */
function scene() {
  let [time, asked, how] = [0, 0, 'answers'];
  const held: Array<(answer: string) => void> = [];
  const turns: boolean[] = [];
  const breaker = createBreaker({
    ...{ timeoutMs: 20, failures: 3, pauseMs: 1_000, now: () => time },
    turned: (answers) => void turns.push(answers),
  });
  const work = () => {
    asked += 1;
    if (how === 'answers') return Promise.resolve('answer');
    if (how === 'fails') return Promise.reject(new Error('away'));
    return new Promise<string>((resolve) => void held.push(resolve));
  };
  return {
    turns,
    held,
    asked: () => asked,
    ask: () => breaker.ask(work).catch((error: Error) => (error instanceof NotAsked ? 'not asked' : error.message)),
    set(next: 'answers' | 'fails' | 'hangs') {
      how = next;
    },
    pass(ms: number) {
      time += ms;
    },
    close: breaker.close,
  };
}

test.each(['fails', 'hangs'] as const)('what %s is asked three times and then no more', async (how) => {
  const { ask, set, asked, turns } = scene();
  set(how);
  for (let n = 0; n < 20; n += 1) await ask();
  expect(asked()).toBe(3);
  expect(await ask()).toBe('not asked');
  expect(turns).toEqual([false]);
});

test('two failures are no outage where an answer lies between them and the next', async () => {
  const { ask, set, asked } = scene();
  for (const how of ['fails', 'fails', 'answers', 'fails', 'fails', 'answers'] as const) {
    set(how);
    await ask();
  }
  expect(asked()).toBe(6);
});

test('after a while one asks, alone; its answer lets all in again, its failure keeps them out', async () => {
  const { ask, set, pass, held, asked, turns } = scene();
  set('fails');
  for (let n = 0; n < 3; n += 1) await ask();
  pass(1_001);
  expect(await ask()).toBe('away');
  expect(await ask()).toBe('not asked');
  pass(1_001);
  set('hangs');
  const probe = ask();
  expect(await Promise.all([ask(), ask()])).toEqual(['not asked', 'not asked']);
  held[0]?.('answer');
  expect(await probe).toBe('answer');
  set('answers');
  expect(await Promise.all([ask(), ask()])).toEqual(['answer', 'answer']);
  expect([asked(), turns]).toEqual([7, [false, true]]);
});

test('word that it is back lets all in at once', async () => {
  const { ask, set, close } = scene();
  set('fails');
  for (let n = 0; n < 3; n += 1) await ask();
  set('answers');
  close();
  expect(await ask()).toBe('answer');
});
