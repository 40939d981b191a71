import fc from 'fast-check';

/** From IANA's special-purpose registries (RFC 6890) and the clouds' documentation; written apart from the guard. */
const ranges4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4'],
  ...['240.0.0.0/4', '255.255.255.255/32', '169.254.169.254/32', '100.100.100.200/32', '192.0.0.192/32'],
];
const ranges6 = ['::/128', '::1/128', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8', '100::/64', '2001:db8::/32'];

export const forbiddenIpv4 = fc.constantFrom(...ranges4).chain((cidr) => {
  const [net = '', bits] = cidr.split('/');
  const base = net.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  return fc.integer({ min: 0, max: 2 ** (32 - Number(bits)) - 1 }).map((host) => base + host);
});
export const publicIpv4 = fc
  .tuple(fc.constantFrom(1, 8, 93, 151, 216), fc.nat(2 ** 24 - 1))
  .map(([top, rest]) => top * 2 ** 24 + rest);

/** The four bytes of an IPv4 address given as a number. */
export const octets = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const radix = fc.constantFrom(
  (n: number) => String(n),
  (n: number) => `0x${n.toString(16)}`,
  (n: number) => `0X${n.toString(16).toUpperCase()}`,
  (n: number) => `0${n.toString(8)}`,
  (n: number) => `000${n.toString(8)}`,
);
const parts = (n: number, count: number) => [...octets(n).slice(0, count - 1), n % 256 ** (5 - count)];

/** Every way to write an IPv4 address as the host of a URL, inside IPv6 apart. */
export const ipv4Notation = (n: number) =>
  fc.tuple(fc.constantFrom(1, 2, 3, 4), fc.tuple(radix, radix, radix, radix), fc.constantFrom('', '.')).map(
    ([count, write, dot]) =>
      parts(n, count)
        .map((part, i) => (write[i] ?? String)(part))
        .join('.') + dot,
  );

const hex = (n: number) => `${(n >>> 16).toString(16)}:${(n & 0xffff).toString(16)}`;
/** IPv6 addresses that carry this IPv4 address: mapped, compatible, translated, NAT64, 6to4, Teredo. */
export const embeddings = (n: number) => {
  const dotted = octets(n).join('.');
  const inverted = hex(~n >>> 0);
  return [
    ...[`::ffff:${dotted}`, `::ffff:${hex(n)}`, `0:0:0:0:0:FFFF:${hex(n)}`, `::${dotted}`, `::ffff:0:${dotted}`],
    ...[`64:ff9b::${dotted}`, `64:ff9b::${hex(n)}`, `64:ff9b:1::${dotted}`, `2002:${hex(n)}::1`],
    ...[`2001:0:${hex(n)}::1`, `2001:0:5db8:d70e::${inverted}`],
  ];
};

export const forbiddenIpv6 = fc.constantFrom(...ranges6).chain((cidr) => {
  const [net = '', bits] = cidr.split('/');
  const groups = net.split('::')[0]?.split(':').filter(Boolean) ?? [];
  const tail = fc.array(fc.nat(0xffff), { minLength: 4, maxLength: 4 });
  if (bits === '128') return fc.constant(net);
  return tail.map((low) =>
    [...groups, ...Array(4 - groups.length).fill('0'), ...low.map((x) => x.toString(16))].join(':'),
  );
});
