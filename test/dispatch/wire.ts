import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

/** A server below HTTP, for what no HTTP server would do. `received` are the bytes of every connection. */
export type WireServer = { port: number; received: string[]; sockets: Socket[]; close(): Promise<void> };

type OnData = (socket: Socket, bytes: string) => void;

/** Listens on 127.0.0.1; `onData` gets each connection whenever something arrived on it, `onConnect` before. */
export async function wireServer(onData: OnData, onConnect: (socket: Socket) => void = () => {}): Promise<WireServer> {
  return listen((accept) => createServer(accept), onData, onConnect);
}

/** The same behind TLS. */
export async function tlsWireServer(options: TlsOptions, onData: OnData): Promise<WireServer> {
  return listen(
    (accept) => createTlsServer(options, accept),
    onData,
    () => {},
  );
}

async function listen(
  create: (accept: (socket: Socket) => void) => Server,
  onData: OnData,
  onConnect: (socket: Socket) => void,
): Promise<WireServer> {
  const received: string[] = [];
  const sockets: Socket[] = [];
  const server = create((socket) => {
    const index = sockets.push(socket) - 1;
    received[index] = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received[index] += chunk.toString('latin1');
      onData(socket, chunk.toString('latin1'));
    });
    onConnect(socket);
  });
  // A handshake that fails is what some tests are about.
  server.on('tlsClientError', () => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    received,
    sockets,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A port of 127.0.0.1 on which nothing listens. */
export async function unusedPort(): Promise<number> {
  const server = await wireServer(() => {});
  await server.close();
  return server.port;
}
