import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { freePort } from '../../src/dev/ports.ts';
import { freshEnvironment } from '../stack/environment.ts';

const start = fileURLToPath(new URL('../../dist/src/dev/start.js', import.meta.url));
/** Makes the SDK's worker of the first process end by itself a moment after its start, as a fault of the SDK once did. */
const faulty = new URL('ending-worker.mjs', import.meta.url).href;

test('npm start starts itself again where its worker ends by itself, and says so', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'onceonly-restart-'));
  const PORT = String(await freePort());
  const env = { ...(await freshEnvironment({ redis: false })), PORT, ONCEONLY_DATA_DIR: dataDir };
  const child = spawn(process.execPath, ['--import', faulty, start], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  try {
    await vi.waitFor(() => expect(said).toContain('The worker has ended by itself: the SDK is broken'), 60_000);
    await vi.waitFor(() => expect(said).toContain('Starting again'), 60_000);
    await vi.waitFor(async () => {
      expect(said.match(/API docs/g)).toHaveLength(2);
      expect((await fetch(`http://127.0.0.1:${PORT}/readyz`)).status).toBe(200);
    }, 60_000);
  } finally {
    child.kill('SIGTERM');
    await ended;
    await rm(dataDir, { recursive: true, force: true });
  }
  expect(await ended).toEqual([0, null]);
  await expect(fetch(`http://127.0.0.1:${PORT}/healthz`)).rejects.toThrow();
});
