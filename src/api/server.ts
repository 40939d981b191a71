import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Listening {
  readonly url: string;
  /** Takes no new connection, lets every accepted request be answered, then closes. */
  drain(): Promise<void>;
}

/**
 * Listens.
 *
 * @throws when the address is taken or not ours.
 */
export async function listen(app: RequestListener, host: string, port: number): Promise<Listening> {
  const server = createServer(app);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${name}:${address.port}`,
    drain: () =>
      new Promise((resolve) => {
        // Answers to requests under way close their connection, so that no client sends another one into the void.
        server.prependListener('request', (_request, response) => response.setHeader('Connection', 'close'));
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}
