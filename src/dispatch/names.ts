import type { LookupAddress } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { addressOf, NameError, resolve } from './addresses.ts';
import { createHostFiles, type HostFilePaths, SYSTEM_FILES } from './host-files.ts';

/** All addresses of a name, in the order to try them. Rejects with the code `ENOTFOUND`, or `EAI_AGAIN` where it may yet be found. */
export type AddressLookup = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface NameOptions {
  /** Name servers, `address` or `address:port`. Default: those of the system. */
  readonly servers?: readonly string[];
  readonly files?: HostFilePaths;
  /** How long a name may take to resolve. Default: 5 s. */
  readonly deadlineMs?: number;
  /** Milliseconds of a clock that never steps. Default: `performance.now`. */
  readonly now?: () => number;
}

/** For the first question; a repeat waits twice as long. */
const TRY = { timeout: 1_500, tries: 2 };
const DEADLINE_MS = 5_000;
/** Names that are remembered, and for how long at the most, whatever their zone says. */
const REMEMBERED = { max: 1_000, seconds: 30 };

/**
 * Resolves names by asking name servers on sockets of its own (c-ares). The system's `getaddrinfo` blocks one of the four
 * threads that files, compression and every other look-up share, so that four names whose servers do not answer stop them all;
 * here a name holds up nobody but who asked for it. The hosts file and the search list count as they do there; other sources of
 * names (mDNS, LDAP) do not.
 *
 * What it finds is remembered as long as its zone says, and up to 30 s. Who connects still checks each address, each time.
 */
export function createAddressLookup({
  servers,
  files: paths = SYSTEM_FILES,
  deadlineMs = DEADLINE_MS,
  now = () => performance.now(),
}: NameOptions = {}): AddressLookup {
  const readFiles = createHostFiles(paths, now);
  const remembered = new LRUCache<string, readonly LookupAddress[]>({
    max: REMEMBERED.max,
    ttlResolution: 0,
    perf: { now },
  });
  const underWay = new Map<string, Promise<readonly LookupAddress[]>>();
  let resolver = createResolver();
  let resolverOf = readFiles().resolv;

  function createResolver(): Resolver {
    const created = new Resolver(TRY);
    if (servers !== undefined) created.setServers(servers);
    return created;
  }

  async function ask(hostname: string, candidates: readonly string[]): Promise<readonly LookupAddress[]> {
    let unanswered: unknown;
    for (const name of candidates) {
      const found = await resolve(resolver, name).catch((fault: unknown) => {
        unanswered = fault;
      });
      if (found === undefined) continue;
      if (found.ttl > 0)
        remembered.set(hostname, found.addresses, { ttl: Math.min(found.ttl, REMEMBERED.seconds) * 1_000 });
      return found.addresses;
    }
    throw unanswered ?? new NameError(hostname, 'ENOTFOUND');
  }

  return async (hostname) => {
    const isWhole = hostname.endsWith('.');
    const name = hostname.toLowerCase().replace(/\.+$/, '');
    const { hosts, search, dots, resolv } = readFiles();
    const listed = hosts.get(name) ?? (isLocalhost(name) ? ['127.0.0.1', '::1'] : undefined);
    if (listed !== undefined) return listed.map(addressOf);
    if (resolv !== resolverOf) [resolver, resolverOf] = [createResolver(), resolv];
    const key = isWhole ? `${name}.` : name;
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const pending = underWay.get(key);
    if (pending !== undefined) return await pending;
    const asked = within(deadlineMs, key, ask(key, isWhole ? [name] : candidatesOf(name, search, dots)));
    const forgotten = asked.finally(() => underWay.delete(key));
    underWay.set(key, forgotten);
    return await forgotten;
  };
}

/** RFC 6761, section 6.3: never asked of a name server. */
const isLocalhost = (name: string): boolean => name === 'localhost' || name.endsWith('.localhost');

/** As resolv.conf(5) has it: a name with few dots is looked for in the domains of the search list first. */
function candidatesOf(name: string, search: readonly string[], dots: number): readonly string[] {
  const longer = search.map((domain) => `${name}.${domain}`);
  return name.split('.').length > dots ? [name, ...longer] : [...longer, name];
}

async function within<T>(milliseconds: number, name: string, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  try {
    return await Promise.race([
      work,
      sleep(milliseconds, undefined, { signal: over.signal }).then(() => {
        throw new NameError(name, 'EAI_AGAIN');
      }),
    ]);
  } finally {
    over.abort();
  }
}
