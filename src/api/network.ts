import ipaddr from 'ipaddr.js';

/**
 * The network that an address is counted under: an IPv4 address itself (also where it is written as IPv6), of IPv6 the
 * /64, which is what one customer gets at least (https://www.rfc-editor.org/rfc/rfc6177). What a proxy passed on that is
 * no address shares one.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return 'unknown';
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  const { parts } = parsed as ipaddr.IPv6;
  return `${parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
