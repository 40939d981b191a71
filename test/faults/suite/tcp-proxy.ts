import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { freePort } from '../../../src/dev/ports.ts';

/** One link of the deployment: passes bytes both ways, and breaks as it is told. */
export interface TcpProxy {
  readonly port: number;
  /** Hands the next packet of a request on, on each of the next `packets` connections that send one, and cuts before any answer. */
  cutAfterRequest(packets: number): void;
  /** Every answer is dropped from now on, while requests go on to arrive and connections stay open. */
  dropAnswers(): void;
  /** Bytes wait, both ways, and arrive after {@link heal}. */
  stall(): void;
  /** New connections are refused, those that are open are cut. */
  refuse(): Promise<void>;
  /** Cuts every connection. */
  cut(): void;
  /** Each packet takes so many milliseconds longer, both ways. */
  delay(ms: number): void;
  /** Passes everything again. A connection of which bytes were dropped is cut: no real one goes on without them. */
  heal(): Promise<void>;
  /** How many connections are open. */
  connections(): number;
  close(): Promise<void>;
}

type State = 'passing' | 'dropping' | 'stalled';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Bytes of an answer were dropped, so what follows would make no sense. */
  torn: boolean;
  /** The client is cut off already; the server reads the request in peace. */
  draining: boolean;
}

/** How long the far side of a cut connection may take to read the request and end. */
const DRAIN_MS = 15_000;

/** Starts a proxy on a free port in front of `target`. */
export async function startTcpProxy(target: { port: number; host?: string }): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  const { port: targetPort, host = '127.0.0.1' } = target;
  let state: State = 'passing';
  let cuts = 0;
  let lag = 0;

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => join(client));

  function join(client: Socket): void {
    const upstream = connect({ port: targetPort, host, allowHalfOpen: true, noDelay: true });
    const pair: Pair = { client, server: upstream, torn: false, draining: false };
    pairs.add(pair);
    pass(client, upstream, (bytes) => request(pair, bytes));
    pass(upstream, client, (bytes) => answer(pair, bytes));
    // A side that breaks off breaks the other off too, as an end in good order ends it.
    client.on('error', () => undefined).once('close', () => pair.draining || tear(pair));
    upstream.on('error', () => undefined).once('close', () => tear(pair));
    if (state === 'stalled') for (const socket of [client, upstream]) socket.pause();
  }

  function tear(pair: Pair): void {
    pairs.delete(pair);
    for (const socket of [pair.client, pair.server]) socket.destroy();
  }

  function request(pair: Pair, bytes: Buffer): void {
    if (cuts === 0 || state !== 'passing') {
      pair.server.write(bytes);
      return;
    }
    cuts -= 1;
    // The request arrives whole and its connection ends behind it: a reset could overtake it. The answer meets nobody.
    pair.torn = true;
    pair.draining = true;
    pairs.delete(pair);
    pair.server.end(bytes);
    setTimeout(() => pair.server.destroy(), DRAIN_MS).unref();
    pair.client.resetAndDestroy();
  }

  function answer(pair: Pair, bytes: Buffer): void {
    if (state === 'dropping') pair.torn = true;
    if (!pair.torn) pair.client.write(bytes);
  }

  function pass(from: Socket, to: Socket, hand: (bytes: Buffer) => void): void {
    let queue = Promise.resolve();
    const later = (work: () => void) => {
      if (lag === 0) {
        queue = queue.then(work);
        return;
      }
      const due = new Promise((resolve) => setTimeout(resolve, lag));
      queue = queue.then(async () => {
        await due;
        work();
      });
    };
    from.on('data', (bytes: Buffer) => later(() => to.destroyed || hand(bytes)));
    from.on('end', () => later(() => void to.end()));
  }

  const tearAll = () => {
    for (const pair of [...pairs]) tear(pair);
  };
  const stopListening = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    tearAll();
    await closed;
  };

  // Not one that the system gives to clients: it may be taken while this proxy refuses.
  const own = await freePort();
  await once(server.listen(own, '127.0.0.1'), 'listening');
  return {
    port: own,
    cutAfterRequest: (packets) => {
      cuts = packets;
    },
    dropAnswers: () => {
      state = 'dropping';
    },
    stall: () => {
      state = 'stalled';
      for (const { client, server: upstream } of pairs) for (const socket of [client, upstream]) socket.pause();
    },
    refuse: stopListening,
    cut: tearAll,
    delay: (ms) => {
      lag = ms;
    },
    async heal() {
      [state, cuts, lag] = ['passing', 0, 0];
      for (const pair of [...pairs]) {
        if (pair.torn) tear(pair);
        else for (const socket of [pair.client, pair.server]) socket.resume();
      }
      if (!server.listening) await once(server.listen(own, '127.0.0.1'), 'listening');
    },
    connections: () => pairs.size,
    close: stopListening,
  };
}
