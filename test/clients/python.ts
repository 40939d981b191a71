import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const directory = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url));

/** A Python that has the official client. */
export const pythonWithSdk = (): string | undefined => pythonWith('onceonly-sdk==3.0.5');

/**
 * A Python that has a package: the one CI names, or a virtual environment made here once. Undefined where there is no
 * Python, or no package index to get it from.
 */
export function pythonWith(requirement: string): string | undefined {
  const named = process.env.ONCEONLY_TEST_PYTHON;
  if (named) return named;
  const venv = `${directory}/python-${requirement.replace(/\W+/g, '-')}`;
  const python = `${venv}/bin/python`;
  try {
    if (!existsSync(`${venv}/ready`)) {
      execFileSync('python3', ['-m', 'venv', venv], { stdio: 'pipe' });
      execFileSync(python, ['-m', 'pip', 'install', '--quiet', requirement], { stdio: 'pipe' });
      execFileSync('touch', [`${venv}/ready`]);
    }
    return python;
  } catch {
    return undefined;
  }
}
