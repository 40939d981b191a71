import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Answer } from './rest.ts';

/** Where the connection of the next request breaks: behind the API's answer, or once the request has been handed on. */
export type Loss = 'answer' | 'request';

/** A network that loses the answer of the next request, when told to, and passes everything else on. */
export interface LossyNetwork {
  readonly url: string;
  lose(what: Loss): void;
  /** What the API has answered to the requests whose connection was broken, in the order of its answers. */
  readonly lost: readonly Pick<Answer, 'status' | 'body'>[];
  /** How many requests have been handed on to the API. */
  handedOn(): number;
  /** Resolves when the API has answered all that was handed on. */
  quiet(): Promise<void>;
  close(): Promise<void>;
}

/** Starts such a network in front of an API. */
export async function startLossyNetwork(target: string): Promise<LossyNetwork> {
  const lost: Pick<Answer, 'status' | 'body'>[] = [];
  const passing = new Set<Promise<unknown>>();
  let next: Loss | undefined;
  let handed = 0;

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const loss = next;
    next = undefined;
    const handedOn = handOn(target, request, await read(request));
    handed += 1;
    if (loss === 'request') response.destroy();
    const answer = await handedOn;
    if (loss === undefined) {
      response.writeHead(answer.status, answer.headers).end(answer.body);
      return;
    }
    lost.push({ status: answer.status, body: JSON.parse(answer.body.toString()) });
    response.destroy();
  }

  const server = createServer((request, response) => {
    const passed = pass(request, response)
      .catch(() => response.destroy())
      .finally(() => passing.delete(passed));
    passing.add(passed);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lose: (what) => {
      next = what;
    },
    lost,
    handedOn: () => handed,
    quiet: async () => {
      await Promise.all(passing);
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function read(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function handOn(target: string, { method, url, headers }: IncomingMessage, body: Buffer) {
  const onward = sendRequest(new URL(url ?? '/', target), { method, headers, agent: false });
  onward.end(body);
  const [answer] = (await once(onward, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: await read(answer) };
}
