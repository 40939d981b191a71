import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, ok } from '../../src/dev/behaviours.ts';
import { buildWorld, SECRET, type World } from '../stack/world.ts';
import { pythonWithSdk } from './python.ts';

const python = pythonWithSdk();
const script = fileURLToPath(new URL('./official.py', import.meta.url));

// Without Python there is no official client to run; CI names one, so there it always runs.
describe.skipIf(python === undefined)('the official Python client', () => {
  let world: World;
  beforeAll(async () => {
    world = await buildWorld();
  });
  afterAll(() => world.close());

  test('works with nothing changed but its base URL', async () => {
    const tool = world.receiver.endpoint('/official', ok());
    const failing = world.receiver.endpoint('/failing', fail(400));
    const args = [script, world.rest.url, world.rest.key, tool, SECRET, failing];
    const { stdout } = await promisify(execFile)(python ?? '', args);
    expect(stdout).toMatch(/^\d+ checks hold for \d+ public methods/);
  });
});
