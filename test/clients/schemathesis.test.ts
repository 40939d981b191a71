import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, type World } from '../stack/world.ts';
import { pythonWith } from './python.ts';

const python = pythonWith('schemathesis==4.32.5');
const program = python && `${dirname(python)}/schemathesis`;
const config = fileURLToPath(new URL('schemathesis.toml', import.meta.url));

/** What schemathesis says of the server; it leaves with 1 where a check fails, or a check of its own cannot be made. */
const schemathesis = (args: string[]): Promise<{ code: number; report: string }> =>
  new Promise((resolve) => {
    // It keeps what it found for its next run: here every run is the first.
    const cwd = mkdtempSync(join(tmpdir(), 'schemathesis-'));
    execFile(program ?? '', args, { cwd, maxBuffer: 100_000_000 }, (error, stdout, stderr) => {
      rmSync(cwd, { recursive: true });
      resolve({ code: Number(error?.code ?? 0), report: `${stdout}\n${stderr}` });
    });
  });

// Without Python there is no schemathesis to run; CI names one, so there it always runs.
describe.skipIf(program === undefined || !existsSync(program))('schemathesis', () => {
  let world: World;
  beforeAll(async () => {
    // It asks with thousands of wrong keys.
    world = await buildWorld({ env: { KEY_GUESSES_PER_MINUTE: '0' } });
  });
  afterAll(() => world.close());

  test('finds nothing that the description does not say', async () => {
    const headers = ['--header', `Authorization: Bearer ${world.rest.key}`];
    const url = `${world.rest.url}/openapi.json`;
    const { code, report } = await schemathesis(['--config-file', config, 'run', url, ...headers, '--no-color']);
    expect(code, report).toBe(0);
    const [, tested, all] = /Selected: (\d+)\/(\d+)/.exec(report) ?? [];
    expect(Number(tested)).toBeGreaterThan(40);
    expect(tested).toBe(all);
  }, 300_000);
});
