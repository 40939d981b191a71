import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identityOf, isAlive, pidOf } from './process-identity.ts';

/** Says where the local stack is: one line for the terminal. */
export type Progress = (line: string) => void;

/** A directory of the local stack is in use by another live process; the message says by which. */
export class DirectoryTaken extends Error {
  override name = 'DirectoryTaken';
}

/**
 * Makes `directory` (mode 0700) this process's own until the returned function is called, or the process ends.
 *
 * @throws {DirectoryTaken} while another owner lives. What a killed owner left does not count.
 */
export async function takeDirectory(directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'owner');
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      await writeFile(file, identityOf(process.pid) ?? String(process.pid), { flag: 'wx', mode: 0o600 });
      return () => rm(file, { force: true });
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    const owner = (await readFile(file, 'utf8').catch(() => '')).trim();
    if (owner !== '' && isAlive(owner)) {
      throw new DirectoryTaken(
        `${directory} is in use by process ${pidOf(owner)}. Stop it, or choose another directory`,
      );
    }
    await rm(file, { force: true });
  }
  throw new DirectoryTaken(`${directory} is being taken by another process at this moment`);
}

/** Reads the secret kept in `file`, or makes it on the first call. Only its owner may read the file (mode 0600). */
export async function keptSecret(file: string, make: () => string): Promise<string> {
  try {
    await writeFile(file, make(), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    await chmod(file, 0o600);
  }
  return (await readFile(file, 'utf8')).trim();
}

/** True for a Node.js system error with this code, such as `ENOENT`. */
export const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
