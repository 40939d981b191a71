import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refusals } from '../../src/contracts/errors.ts';
import { fail, hangUp, ok } from '../../src/dev/behaviours.ts';
import { pythonWithSdk } from '../clients/python.ts';
import { buildWorld, SECRET, type World } from '../stack/world.ts';
import { execute, type Place } from './execution.ts';
import { samplesOf } from './page.ts';
import type { Told } from './shown.ts';

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** The pages in the order in which they are gone through, and their blocks that are not executed, by their first lines, with the reason. */
const pages: Array<[string, Record<string, string>]> = [
  ['api.md', {}],
  ['clients.md', { "import { OnceOnly } from '@onceonly/onceonly-sdk';": 'the package is in no registry' }],
];

const python = pythonWithSdk();
let world: World;
let place: Place;
let told: Told = {};

beforeAll(async () => {
  world = await buildWorld();
  const { rest, receiver, env } = world;
  // The tools of the page: two that work, one that refuses, one whose answers are lost.
  const tools = { '/charge': ok(), '/refund': ok(), '/ship': fail(400), '/wire': hangUp('before_answer') };
  for (const [path, behaviour] of Object.entries(tools)) receiver.endpoint(path, behaviour);
  place = {
    url: rest.url,
    key: rest.key,
    instead: {
      'http://127.0.0.1:8080': rest.url,
      'http://127.0.0.1:9000': receiver.url,
      'once_live_…': rest.key,
      'a-long-shared-secret': SECRET,
      "taskQueue: 'onceonly'": `taskQueue: '${env.TEMPORAL_TASK_QUEUE}'`,
    },
    env: { ...process.env, ...env, KEY: rest.key },
    python,
  };
});
afterAll(() => world.close());

describe.each(pages)('docs/%s', (name, notExecuted) => {
  const page = read(name);

  test.each(Object.entries(notExecuted))('still has the block %j, not executed since %s', (line) => {
    expect(page).toContain(`\n${line}\n`);
  });

  for (const sample of samplesOf(page, Object.keys(notExecuted))) {
    const what = sample.kind === 'request' ? `${sample.request.method} ${sample.request.path}` : sample.kind;
    const skipped = sample.kind === 'python' && python === undefined;
    test.skipIf(skipped)(`line ${sample.line}, ${sample.section}: ${what} answers as shown`, async () => {
      told = await execute(sample, place, told);
    });
  }
});

describe('docs/api.md', () => {
  const page = read('api.md');

  test('lists every refusal under its status', () => {
    const rows = [...page.matchAll(/^\| (\d{3}) \| ([^|]*) \|/gm)];
    const listed = rows.flatMap(([, status, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => `${status} ${name}`),
    );
    const catalogue = Object.entries(refusals).map(([code, refusal]) => {
      const name = 'text' in refusal ? refusal.text : 'error' in refusal ? refusal.error : code;
      return `${refusal.status} ${name}`;
    });
    expect(listed.sort()).toEqual(catalogue.sort());
  });
});
