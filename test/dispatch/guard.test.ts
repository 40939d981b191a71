import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createTargetGuard } from '../../src/dispatch/guard.ts';
import { embeddings, forbiddenIpv4, forbiddenIpv6, ipv4Notation, octets, publicIpv4 } from './addresses.ts';

const guard = createTargetGuard([]);
const local = createTargetGuard(['127.0.0.0/8', '::1', 'LocalHost', 'tool.internal', '10.1.2.3']);

describe('a target', () => {
  test.each([
    'https://api.example.com/charge',
    'https://api.example.com:8443/charge?x=1',
    'https://93.184.215.14/',
    'https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/',
    'https://64.0x1.257/',
    'https://xn--bcher-kva.example/',
    'https://notlocalhost/',
  ])('may be %s', (url) => expect(guard.checkUrl(url)).toEqual({ ok: true }));

  test.each([
    ['', 'invalid_url'],
    ['api.example.com', 'invalid_url'],
    ['https://', 'invalid_url'],
    ['https://./', 'invalid_url'],
    ['https://1.2.3.4.5/', 'invalid_url'],
    ['https://256.1.1.1/', 'invalid_url'],
    ['https://[fe80::1%25eth0]/', 'invalid_url'],
    ['ftp://api.example.com/', 'scheme_not_allowed'],
    ['file:///etc/passwd', 'scheme_not_allowed'],
    ['javascript:alert(1)', 'scheme_not_allowed'],
    ['https://user:secret@api.example.com/', 'credentials_in_url'],
    ['https://user@api.example.com/', 'credentials_in_url'],
    ['http://api.example.com/', 'plain_http_not_allowed'],
    ['http://93.184.215.14/', 'plain_http_not_allowed'],
    ['https://localhost/', 'host_not_allowed'],
    ['http://localhost./', 'host_not_allowed'],
    ['https://LOCALHOST:8443/', 'host_not_allowed'],
    ['https://a.localhost/', 'host_not_allowed'],
    ['https://0/', 'address_not_allowed'],
    ['https://127.1./', 'address_not_allowed'],
    ['https://１２７.０.０.１/', 'address_not_allowed'],
    ['https://127。0。0。1/', 'address_not_allowed'],
    ['https://%31%32%37.1/', 'address_not_allowed'],
    ['https://168.63.129.16/', 'address_not_allowed'],
    ['https://[::127.0.0.1]/', 'address_not_allowed'],
    ['https://[fd00:ec2::254]/', 'address_not_allowed'],
    ['https://[4000::1]/', 'address_not_allowed'],
  ])('may not be %s (%s)', (url, reason) => expect(guard.checkUrl(url)).toEqual({ ok: false, reason }));
});

describe('what the operator allows', () => {
  test.each([
    'http://127.0.0.1:8080/charge',
    'http://127.255.3.4/',
    'http://2130706433/',
    'http://[::1]:8080/',
    'http://[::ffff:127.0.0.1]/',
    'http://localhost:8080/',
    'http://LOCALHOST./',
    'http://tool.internal/',
    'https://10.1.2.3/',
  ])('may be called: %s', (url) => expect(local.checkUrl(url)).toEqual({ ok: true }));

  test.each(['http://a.localhost/', 'http://10.1.2.4/', 'http://other.tool.internal/', 'http://[::2]/'])(
    'does not reach further: %s',
    (url) => expect(local.checkUrl(url)).toMatchObject({ ok: false }),
  );

  test.each(['tool.internal:8080', 'https://tool.internal', '10.0.0.0/33', '*.internal', 'a b'])(
    'is refused at the start when it cannot be read: %s',
    (entry) => expect(() => createTargetGuard([entry])).toThrow(TypeError),
  );

  test('may have blanks where a list was split', () => {
    expect(createTargetGuard(['', '[::1]']).checkUrl('http://[::1]/')).toEqual({ ok: true });
  });
});

describe('at connect time', () => {
  test('an allowed name is trusted with any address, other names only with allowed ones', () => {
    expect(local.allowsAddress('10.9.9.9', 'Tool.Internal.')).toBe(true);
    expect(local.allowsAddress('10.9.9.9', 'api.example.com')).toBe(false);
    expect(local.allowsAddress('127.0.0.1', 'api.example.com')).toBe(true);
    expect(local.allowsAddress('::ffff:127.0.0.1', 'api.example.com')).toBe(true);
    expect(local.allowsAddress('93.184.215.14', 'api.example.com')).toBe(true);
  });

  test.each(['', 'api.example.com', 'fe80::1%eth0', '::ffff:10.0.0.1', '64:ff9b::10.0.0.1'])(
    '%j is refused',
    (address) => expect(guard.allowsAddress(address, 'api.example.com')).toBe(false),
  );

  test('a public address behind the well-known NAT64 prefix is the address it stands for', () => {
    expect(guard.allowsAddress('64:ff9b::93.184.215.14', 'api.example.com')).toBe(true);
  });
});

describe('no forbidden address passes', () => {
  test('written as IPv4 in any notation', () =>
    fc.assert(
      fc.property(forbiddenIpv4.chain(ipv4Notation), (host) => !guard.checkUrl(`https://${host}/`).ok),
      { numRuns: 3_000 },
    ));

  test('hidden inside IPv6, in a URL or as a resolved address', () =>
    fc.assert(
      fc.property(forbiddenIpv4, (n) =>
        embeddings(n).every((ip) => !guard.checkUrl(`https://[${ip}]/`).ok && !guard.allowsAddress(ip, 'tool.example')),
      ),
      { numRuns: 1_000 },
    ));

  test('as IPv6, in a URL or as a resolved address', () =>
    fc.assert(
      fc.property(
        forbiddenIpv6,
        (ip) => !guard.checkUrl(`https://[${ip}]/`).ok && !guard.allowsAddress(ip, 'tool.example'),
      ),
    ));

  test('as a resolved IPv4 address', () =>
    fc.assert(fc.property(forbiddenIpv4, (n) => !guard.allowsAddress(octets(n).join('.'), 'tool.example'))));

  test('while public ones do, in every notation', () =>
    fc.assert(fc.property(publicIpv4.chain(ipv4Notation), (host) => guard.checkUrl(`https://${host}/`).ok)));
});
