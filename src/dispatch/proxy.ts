import { isIP, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Pool } from 'undici';

/** Where connections to https targets go through, and which targets they do not. */
export interface ProxyOptions {
  /** http or https; its user and password are said to it (RFC 7617). */
  readonly url: string;
  /** Names (with those below them), addresses, CIDRs, each perhaps with a port; `*` is all. */
  readonly except: readonly string[];
}

/** The proxy could not be reached, or did not connect. No byte of a request left. */
export class ProxyFailed extends Error {
  readonly reason = 'proxy_failed';
}

export type ToolProxy = ReturnType<typeof createProxy>;

const CONNECT_TIMEOUT_MS = 10_000;

/** Opens tunnels through a proxy (RFC 9110, section 9.3.6). Which targets may be connected to is not its business. */
export function createProxy({ url, except }: ProxyOptions) {
  const { origin, username, password } = new URL(url);
  const pool = new Pool(origin, { connect: { timeout: CONNECT_TIMEOUT_MS }, headersTimeout: CONNECT_TIMEOUT_MS });
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
  const headers = credentials === ':' ? {} : { 'proxy-authorization': authorization };

  return {
    /** Whether a target is connected to without the proxy. */
    isBypassed: (host: string, port: string): boolean => except.some((entry) => matches(entry, host, port)),

    /**
     * A connection to a target, by its address or name, through the proxy.
     *
     * @throws {ProxyFailed}
     */
    async connect(host: string, port: string): Promise<Socket> {
      const path = `${host.includes(':') ? `[${host}]` : host}:${port}`;
      try {
        const signal = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
        const { statusCode, socket } = await pool.connect({ path, headers: { host: path, ...headers }, signal });
        if (statusCode >= 200 && statusCode < 300) return socket as Socket;
        socket.on('error', () => undefined).destroy();
        throw new ProxyFailed(`the proxy answered ${statusCode}`);
      } catch (error) {
        throw error instanceof ProxyFailed ? error : new ProxyFailed('the proxy cannot be reached', { cause: error });
      }
    },

    close: (): Promise<void> => pool.destroy(),
  };
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const [, ofPort = entry, onPort] = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(entry) ?? [];
  if (onPort !== undefined && onPort !== port) return false;
  const [wanted, name] = [ofPort, host].map((text) => text.toLowerCase().replace(/^\[(.*)\]$/, '$1')) as [
    string,
    string,
  ];
  if (isIP(name)) return isWithin(ipaddr.process(name), wanted);
  const suffix = wanted.replace(/^\*?\.?/, '');
  return suffix !== '' && (name === suffix || name.endsWith(`.${suffix}`));
}

function isWithin(address: ipaddr.IPv4 | ipaddr.IPv6, wanted: string): boolean {
  if (ipaddr.isValidCIDR(wanted)) {
    const [net, bits] = ipaddr.parseCIDR(wanted);
    return net.kind() === address.kind() && address.match(net, bits);
  }
  return isIP(wanted) !== 0 && ipaddr.process(wanted).toString() === address.toString();
}
