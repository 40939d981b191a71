import { isIP, type LookupFunction, type Socket } from 'node:net';
import { buildConnector } from 'undici';
import type { Answer } from '../domain/answer.ts';
import type { TargetGuard } from './guard.ts';
import { type AddressLookup, createAddressLookup } from './names.ts';
import { ProxyFailed, type ToolProxy } from './proxy.ts';

export type GuardedConnectorOptions = {
  guard: TargetGuard;
  /** Default: the system's name servers and hosts file. */
  lookup?: AddressLookup | undefined;
  /** PEM certificates to trust instead of the well-known ones. */
  ca?: string | undefined;
  /** What https targets are connected to through. */
  proxy?: ToolProxy | undefined;
};

/** The connection was refused here, by the guard, not by the target. */
export class TargetRefused extends Error {
  readonly reason = 'address_not_allowed';
}

const CONNECT_TIMEOUT_MS = 10_000;
/** Node's 250 ms gives up on addresses that are merely far away. */
const NEXT_ADDRESS_AFTER_MS = 1_000;

/**
 * Connects for undici, only to addresses that the guard allows: literal ones are checked before the connection, names
 * after their resolution (forbidden addresses are dropped, the connection uses what is left), and whatever got
 * connected once more at the end. Certificates are always verified. Its errors mean that no byte of a request left.
 *
 * Through a proxy it is the same guard that decides: a name is resolved here and the proxy is told the address that was allowed,
 * since what the proxy resolves may be another one. A name that the operator has listed is told as it is.
 */
export function guardedConnector({
  guard,
  lookup: given,
  ca,
  proxy,
}: GuardedConnectorOptions): buildConnector.connector {
  const lookup = given ?? createAddressLookup();
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
    lookup: guardedLookup(guard, lookup),
    ...(ca === undefined ? {} : { ca }),
  });
  return (options, callback) => {
    const { hostname, protocol } = options;
    const port = options.port || '443';
    // Node does not look a literal address up, so the lookup below would never see it.
    if (isIP(hostname) && !guard.allowsAddress(hostname, hostname)) {
      queueMicrotask(() => callback(new TargetRefused(hostname), null));
      return;
    }
    if (proxy !== undefined && protocol === 'https:' && !proxy.isBypassed(hostname, port)) {
      tunnel(proxy, hostname, port).then(
        (httpSocket) =>
          connect({ ...options, httpSocket }, (error, socket) => {
            if (error) return callback(error, null);
            tellResets(socket);
            return callback(null, socket);
          }),
        (error: Error) => callback(error, null),
      );
      return;
    }
    connect(options, (error, socket) => {
      if (error) return callback(error, null);
      if (!guard.allowsAddress(socket.remoteAddress ?? '', hostname)) {
        socket.destroy();
        return callback(new TargetRefused(hostname), null);
      }
      tellResets(socket);
      return callback(null, socket);
    });
  };

  /** By the addresses that are allowed, one after the other. */
  async function tunnel(through: ToolProxy, hostname: string, port: string): Promise<Socket> {
    if (isIP(hostname) || guard.isListedName(hostname)) return await through.connect(hostname, port);
    const allowed = (await lookup(hostname)).filter(({ address }) => guard.allowsAddress(address, hostname));
    let failed: unknown = new TargetRefused(hostname);
    for (const { address } of allowed) {
      try {
        return await through.connect(address, port);
      } catch (error) {
        failed = error;
      }
    }
    throw failed;
  }
}

/** What a failure before the first byte means, as an answer. */
export function notSent(error: Error, https: boolean): Answer {
  if (error instanceof ProxyFailed) return { kind: 'not_sent', error: error.reason };
  if (error instanceof TargetRefused) return { kind: 'target_refused', error: error.reason };
  const code = errorCode(error);
  const known = CONNECT_ERRORS.get(code);
  if (known) return { kind: 'not_sent', error: known };
  if (code.startsWith('EAI_')) return { kind: 'not_sent', error: 'dns' };
  if (code.startsWith('UND_ERR_')) return { kind: 'not_sent', error: 'connect_failed' };
  // What is left over https are OpenSSL's and certificate errors, which have dozens of codes.
  if (https) return { kind: 'not_sent', error: 'tls' };
  return { kind: 'not_sent', error: code === 'ECONNRESET' ? 'connection_reset' : 'connect_failed' };
}

const CONNECT_ERRORS: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'dns'],
  ['ENODATA', 'dns'],
  ['ECONNREFUSED', 'connection_refused'],
  ['ETIMEDOUT', 'connect_timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'connect_timeout'],
  ['EHOSTUNREACH', 'unreachable'],
  ['ENETUNREACH', 'unreachable'],
  ['EHOSTDOWN', 'unreachable'],
  ['ENETDOWN', 'unreachable'],
  ['EADDRNOTAVAIL', 'unreachable'],
  ['EMFILE', 'connect_failed'],
  ['ENFILE', 'connect_failed'],
]);

function errorCode(error: Error & { code?: unknown; errors?: unknown }): string {
  if (typeof error.code === 'string') return error.code;
  // Several addresses were tried: the first failure speaks for all.
  const first: unknown = Array.isArray(error.errors) ? error.errors[0] : undefined;
  return first instanceof Error ? errorCode(first) : '';
}

function guardedLookup(guard: TargetGuard, lookup: AddressLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname).then(
      (found) => {
        const allowed = found.filter(({ address }) => guard.allowsAddress(address, hostname));
        const [first] = allowed;
        if (!first) return callback(new TargetRefused(hostname), []);
        return options.all ? callback(null, allowed) : callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
}

/**
 * Names a reset of an established connection as undici names an end of it. Otherwise its client-h1.js takes a reset for
 * the regular end of a body without a length (`onHttpSocketError`), and a body cut short would pass for an answer; and
 * a request waiting to reuse an idle connection would fail instead of opening a new one. (A reset that arrives together
 * with data looks like an end to libuv already: of a body without a length nobody can tell. RFC 9112, section 8.)
 */
function tellResets(socket: NodeJS.EventEmitter): void {
  socket.prependListener('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET';
  });
}
