import { describe, expect, test } from 'vitest';
import type { Deployment } from './suite/deployment.ts';
import { linkFaults, processFaults } from './suite/faults.ts';
import type { Exchange } from './suite/history.ts';
import { createBudgets, makeCalls } from './suite/load/calls.ts';
import { holdLeases, lockKeys } from './suite/load/keys.ts';
import { makeRuns } from './suite/load/runs.ts';
import { numbersFrom } from './suite/numbers.ts';
import type { Client } from './suite/recorder.ts';

const plays = {
  lockKeys,
  holdLeases,
  makeRuns,
  makeCalls: (client: Client, working: () => boolean) => makeCalls(client, createBudgets(), working),
};
const answers: Record<string, Partial<Exchange>> = {
  good: { status: 200, body: { status: 'acquired', lease_id: 'lease_1', decision: 'executed', ok: true } },
  refused: { status: 200, body: { status: 'failed', decision: 'blocked' } },
  lost: { body: {}, lost: 'ECONNRESET' },
};
const OPENING = new Set(['check-lock', 'lease', 'run', 'call']);

/** The first things that a client begins, each once, where every answer is the same. */
async function begun(play: (typeof plays)[keyof typeof plays], seed: number, answer: Partial<Exchange>) {
  const asked = new Set<string>();
  const ask: Client['ask'] = async (about, { json }) => {
    // Going on with a run depends on how it went, as it should.
    if (OPENING.has(about.op) && !(about.op === 'run' && about.retryFailed)) asked.add(JSON.stringify([about, json]));
    return { client: 'fake', ...about, sentAt: 0, endedAt: 0, body: {}, ...answer };
  };
  const client: Client = {
    ...{ name: 'client', numbers: numbersFrom(seed, 'client'), ask, insist: ask },
    ...{
      read: async () => undefined,
      readPage: async () => ({ json: undefined, next: undefined }),
      pause: async () => {},
    },
  };
  await play(client, () => asked.size < 60);
  return [...asked].slice(0, 60);
}

describe.each(Object.entries(plays))('%s', (_, play) => {
  test('begins what its seed says, whatever it is answered', async () => {
    const [good, refused, lost] = await Promise.all(Object.values(answers).map((answer) => begun(play, 7, answer)));
    expect(refused).toEqual(good);
    expect(lost).toEqual(good);
    expect(await begun(play, 8, answers.good ?? {})).not.toEqual(good);
  });
});

test('the same seed breaks the same things for the same time', () => {
  const part = (name: string) => ({ name });
  const names = ['client→api-1', 'api-1→postgres', 'worker-1→postgres', 'api-1→temporal', 'worker-1→temporal'];
  const deployment = {
    ...{ apis: [part('api-1'), part('api-2')], workers: [part('worker-1'), part('worker-2')] },
    ...{ postgres: part('postgres'), temporal: part('temporal'), redis: part('redis') },
    links: new Map([...names, 'worker→receiver', 'api-1→redis'].map((name) => [name, {}])),
  } as unknown as Deployment;
  const drawn = (seed: number) => {
    const draws = [processFaults(numbersFrom(seed, 'a'), deployment), linkFaults(numbersFrom(seed, 'b'), deployment)];
    return draws.flatMap((draw) =>
      Array.from({ length: 100 }, draw).map(({ kind, target, forMs }) => `${kind} ${target} ${forMs}`),
    );
  };
  expect(drawn(7)).toEqual(drawn(7));
  expect(drawn(8)).not.toEqual(drawn(7));
  expect(new Set(drawn(7).map((fault) => fault.replace(/ \d+$/, ''))).size).toBeGreaterThan(40);
});
