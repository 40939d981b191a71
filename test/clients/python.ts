import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SDK = 'onceonly-sdk==3.0.5';
const venv = fileURLToPath(new URL('../../node_modules/.cache/onceonly-python', import.meta.url));

/**
 * A Python that has the official client: the one CI names, or a virtual environment made here once. Undefined where
 * there is no Python, or no package index to get the client from.
 */
export function pythonWithSdk(): string | undefined {
  const named = process.env.ONCEONLY_TEST_PYTHON;
  if (named) return named;
  const python = `${venv}/bin/python`;
  try {
    if (!existsSync(`${venv}/ready`)) {
      execFileSync('python3', ['-m', 'venv', venv], { stdio: 'pipe' });
      execFileSync(python, ['-m', 'pip', 'install', '--quiet', SDK], { stdio: 'pipe' });
      execFileSync('touch', [`${venv}/ready`]);
    }
    return python;
  } catch {
    return undefined;
  }
}
