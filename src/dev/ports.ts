import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { isCode } from './data-dir.ts';

/** Below the range from which systems give ports to clients: one of ours that is down for a while cannot be taken by one of them. */
const range = [15_000, 30_000] as const;

/** What is asked of a port: exactly this one, this one if it is free, or any. */
export interface PortWish {
  readonly port?: number | undefined;
  readonly preferred?: number | undefined;
}

/**
 * A TCP port on 127.0.0.1 that nothing listens on at this moment.
 *
 * @throws when exactly `port` is asked for and it is taken.
 */
export async function freePort({ port, preferred }: PortWish = {}): Promise<number> {
  if (port !== undefined) {
    if (await isFree(port)) return port;
    throw new Error(`Port ${port} is in use by another program`);
  }
  if (preferred !== undefined && (await isFree(preferred))) return preferred;
  for (;;) {
    const candidate = randomInt(...range);
    if (await isFree(candidate)) return candidate;
  }
}

/** Tells whether `port` could be listened on now. Any other obstacle than its being taken is thrown. */
export async function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  try {
    await listenOnce(port, host);
    return true;
  } catch (error) {
    if (isCode(error, 'EADDRINUSE')) return false;
    throw error;
  }
}

function listenOnce(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve()));
  });
}
