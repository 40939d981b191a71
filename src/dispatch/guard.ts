import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import ipaddr from 'ipaddr.js';

/** Says which targets may be called. Pure: it never resolves a name itself. */
export type TargetGuard = {
  /**
   * At registration and before each call: http or https, no credentials, no forbidden address in any notation, plain
   * http only where allow-listed. A name passes here; the addresses behind it are checked by `allowsAddress`.
   */
  checkUrl(url: string): { ok: true } | { ok: false; reason: TargetRefusal };
  /** At connect time: whether the resolved `address` of `hostname` may be connected to. */
  allowsAddress(address: string, hostname: string): boolean;
  /** Whether the operator has listed this very name, which then may be connected to wherever it leads. */
  isListedName(hostname: string): boolean;
};

/** Why a target is refused. */
export type TargetRefusal =
  | 'invalid_url'
  | 'scheme_not_allowed'
  | 'credentials_in_url'
  | 'host_not_allowed'
  | 'address_not_allowed'
  | 'plain_http_not_allowed';

type Ip = ipaddr.IPv4 | ipaddr.IPv6;
type AllowList = { names: Set<string>; ranges: [Ip, number][] };

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
/** Azure's host agent: outside every reserved range, and it answers as a metadata service does. */
const AZURE_WIRE_SERVER = '168.63.129.16';

/**
 * Builds the guard. `allowedHosts`: exact host names (any case), single addresses or CIDRs that may be called although
 * they are private, plain http included. Throws a TypeError for an entry that is none of these.
 */
export function createTargetGuard(allowedHosts: readonly string[]): TargetGuard {
  const allowed = parseAllowList(allowedHosts);
  const isListed = (ip: Ip | null): boolean =>
    ip !== null && allowed.ranges.some(([net, bits]) => net.kind() === ip.kind() && ip.match(net, bits));

  return {
    checkUrl(text) {
      const url = parseTarget(text);
      if (typeof url === 'string') return refuse(url);
      const host = bareHost(url.hostname);
      const ip = isIP(host) ? meant(host) : null;
      if (allowed.names.has(host) || isListed(ip)) return { ok: true };
      if (ip && !isPublic(ip)) return refuse('address_not_allowed');
      if (isLocalhost(host)) return refuse('host_not_allowed');
      return url.protocol === 'https:' ? { ok: true } : refuse('plain_http_not_allowed');
    },

    isListedName: (hostname) => allowed.names.has(bareHost(hostname)),

    allowsAddress(address, hostname) {
      const ip = meant(address);
      return ip !== null && (allowed.names.has(bareHost(hostname)) || isListed(ip) || isPublic(ip));
    },
  };
}

function parseTarget(text: string): URL | TargetRefusal {
  if (!URL.canParse(text)) return 'invalid_url';
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'scheme_not_allowed';
  if (url.username || url.password) return 'credentials_in_url';
  return bareHost(url.hostname) === '' ? 'invalid_url' : url;
}

function refuse(reason: TargetRefusal): { ok: false; reason: TargetRefusal } {
  return { ok: false, reason };
}

function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.+$/, '');
}

/** RFC 6761, section 6.3: these names are loopback addresses in another notation, whatever a resolver says. */
function isLocalhost(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

/** The address that a connection would reach: an IPv4 address inside IPv4-mapped or NAT64 (RFC 6052) is taken out. */
function meant(address: string): Ip | null {
  if (!ipaddr.isValid(address)) return null;
  const ip = ipaddr.parse(address);
  if (ip instanceof ipaddr.IPv4) return ip;
  if (ip.isIPv4MappedAddress()) return ip.toIPv4Address();
  return ip.match(NAT64) ? new ipaddr.IPv4(ip.toByteArray().slice(12)) : ip;
}

/**
 * Only what is plainly global unicast. IANA's special-purpose registries are `range()`; of IPv6 all that lies outside
 * 2000::/3 goes too, IPv4-compatible addresses with it. 6to4 and Teredo are refused whole: they are obsolete, and their
 * only use left is to smuggle an IPv4 address.
 */
function isPublic(ip: Ip): boolean {
  if (ip.range() !== 'unicast') return false;
  return ip instanceof ipaddr.IPv4 ? ip.toString() !== AZURE_WIRE_SERVER : ip.match(GLOBAL_UNICAST);
}

function parseAllowList(entries: readonly string[]): AllowList {
  const list: AllowList = { names: new Set(), ranges: [] };
  for (const entry of entries.map(bareHost).filter((text) => text !== '')) {
    const ip = isIP(entry) ? meant(entry) : null;
    // domainToASCII would cut a path or port off and take what is left.
    const name = /[/:@?#\s]/.test(entry) ? '' : domainToASCII(entry);
    if (ip) list.ranges.push([ip, ip.kind() === 'ipv4' ? 32 : 128]);
    else if (entry.includes('/') && ipaddr.isValidCIDR(entry)) list.ranges.push(ipaddr.parseCIDR(entry));
    else if (/^[a-z0-9._-]+$/.test(name)) list.names.add(name);
    else throw new TypeError(`not a host name, an address or a CIDR: ${entry}`);
  }
  return list;
}
