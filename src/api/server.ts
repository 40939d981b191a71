import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { answerBrokenRequests } from './broken-requests.ts';

/** Request line and headers together, in bytes; Node's own default, said here because answers depend on it. */
const MAX_HEADER_BYTES = 16_384;
/** Longer than the 60 s after which common load balancers give up an idle connection: who closes first loses no request. */
const KEEP_ALIVE_MS = 65_000;
/** Connections that may wait to be accepted: Node's own 511 loses some of a burst of thousands. The system may allow fewer. */
const BACKLOG = 4_096;
/** How often connections are looked through for those whose time is up. */
const CHECK_MS = 1_000;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Seconds a client may take to send a request, and stand still while its answer is sent. */
  readonly clientTimeoutSeconds: number;
  /** Connections at the most, further ones are closed at once; 0: as many as the system gives. */
  readonly maxConnections: number;
}

interface ListenConfig {
  readonly HOST: string;
  readonly CLIENT_TIMEOUT_SECONDS: number;
  readonly MAX_CONNECTIONS: number;
}

export const listenOptions = (config: ListenConfig, port: number): ListenOptions => ({
  host: config.HOST,
  port,
  clientTimeoutSeconds: config.CLIENT_TIMEOUT_SECONDS,
  maxConnections: config.MAX_CONNECTIONS,
});

export interface Listening {
  readonly url: string;
  /** Takes no new connection, lets every accepted request be answered, then closes. */
  drain(): Promise<void>;
}

/** A request that is on its way when draining begins has so long to arrive. */
const LAST_WORD_MS = 1_000;

/**
 * Listens.
 *
 * @throws when the address is taken or not ours.
 */
export async function listen(app: RequestListener, options: ListenOptions): Promise<Listening> {
  const timeout = options.clientTimeoutSeconds * 1000;
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: timeout,
    requestTimeout: timeout,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
    // The app says it in the contract's shape.
    requireHostHeader: false,
  });
  if (options.maxConnections > 0) server.maxConnections = options.maxConnections;
  answerBrokenRequests(server);
  const open = new Set<ServerResponse>();
  // Connections that have asked nothing yet; Node takes them for busy, as they may be about to.
  const silent = new Set<Socket>();
  let draining = false;
  server.on('connection', (socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  server.on('request', (request, response) => {
    silent.delete(request.socket);
    open.add(response);
    if (draining) lastOf(response);
    response.once('prefinish', () => expectReading(response, timeout));
    response.once('close', () => {
      open.delete(response);
      // An answer that had begun could not say that it is the last of its connection.
      if (draining) server.closeIdleConnections();
    });
  });
  server.on('request', app);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, BACKLOG, resolve);
  });
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${name}:${address.port}`,
    drain: () =>
      new Promise((resolve) => {
        draining = true;
        for (const response of open) lastOf(response);
        const lastWord = setTimeout(() => {
          for (const socket of silent) socket.destroy();
        }, LAST_WORD_MS);
        server.close(() => {
          clearTimeout(lastWord);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/** Its connection is closed with the answer, so that no client sends another request into the void. */
const lastOf = (response: ServerResponse): void => {
  if (!response.headersSent) response.setHeader('Connection', 'close');
};

/**
 * Breaks the connection once its client has taken nothing of what is written for so long; 0 lets it be. Any byte that goes
 * out begins the time anew, and so does the next request.
 */
export const expectReading = (response: ServerResponse, milliseconds: number): void => {
  response.setTimeout(milliseconds);
};
