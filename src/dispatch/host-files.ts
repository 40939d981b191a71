import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

/** What the system's files say of names. */
export interface HostFiles {
  /** Addresses by name, in lower case, in the order of the file. */
  readonly hosts: ReadonlyMap<string, readonly string[]>;
  /** What is tried behind a name that is not whole. */
  readonly search: readonly string[];
  /** A name with fewer dots is tried behind the others first. */
  readonly dots: number;
  /** Which name servers there are, as text: another text means other servers. */
  readonly resolv: string;
}

export interface HostFilePaths {
  readonly hosts: string;
  readonly resolv: string;
}

export const SYSTEM_FILES: HostFilePaths = { hosts: '/etc/hosts', resolv: '/etc/resolv.conf' };

/** How long what was read is taken for what is there. */
const READ_AGAIN_MS = 5_000;

/**
 * Reads them, as hosts(5) and resolv.conf(5) have it, again every five seconds. At once rather than through the threads that
 * all file access shares: they are a few lines, and a name must not wait for whatever holds those threads up.
 */
export function createHostFiles(paths: HostFilePaths, now: () => number): () => HostFiles {
  let known: HostFiles | undefined;
  let readAt = 0;
  return () => {
    if (known === undefined || now() - readAt >= READ_AGAIN_MS) {
      known = { hosts: hostsOf(contentOf(paths.hosts)), ...resolvingOf(contentOf(paths.resolv)) };
      readAt = now();
    }
    return known;
  };
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const linesOf = (content: string): string[][] =>
  content.split('\n').map((line) =>
    line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/),
  );

function hostsOf(content: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const [address = '', ...names] of linesOf(content)) {
    // An address with a zone means something on this machine only.
    if (isIP(address) === 0 || address.includes('%')) continue;
    for (const name of names.map((text) => text.toLowerCase())) {
      const addresses = hosts.get(name) ?? [];
      if (!addresses.includes(address)) hosts.set(name, [...addresses, address]);
    }
  }
  return hosts;
}

function resolvingOf(content: string): Omit<HostFiles, 'hosts'> {
  let search: readonly string[] = [];
  let dots = 1;
  for (const [keyword, ...values] of linesOf(content)) {
    // The last of these two counts.
    if (keyword === 'search') search = values;
    if (keyword === 'domain') search = values.slice(0, 1);
    if (keyword !== 'options') continue;
    const [, digits] = /(?:^| )ndots:(\d+)/.exec(values.join(' ')) ?? [];
    if (digits !== undefined) dots = Math.min(15, Number(digits));
  }
  return { search: search.map((domain) => domain.replace(/\.+$/, '')).filter(Boolean), dots, resolv: content };
}
