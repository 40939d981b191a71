import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JsonObject } from '../domain/answer.ts';
import { signatureProblem } from './verify.ts';

/** A call as it arrived. `at` is unix time in milliseconds; `body` is `{}` where there was no JSON object. */
export type ReceivedCall = {
  method: string;
  path: string;
  query: Record<string, string>;
  idempotencyKey: string;
  webhookId: string;
  fence: number;
  body: JsonObject;
  headers: IncomingHttpHeaders;
  at: number;
  /** Both signatures are right and fresh. A call that is not verified was answered 401. */
  verified: boolean;
  /** Why it is not. */
  problem?: string;
};

/**
 * What to answer: 200 and `{}` unless told. `effect` says whether the work was done; by default it was if the status is
 * 2xx. `hangUp` does the work and then breaks the connection or, `never` answering, keeps it open.
 */
export type Reply = {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
  delayMs?: number;
  hangUp?: 'before_answer' | 'mid_body' | 'never';
  effect?: boolean;
};

/** Decides the answer to a verified call; `n` counts the verified calls of its path from 1. */
export type Behaviour = (call: ReceivedCall, n: number) => Reply | Promise<Reply>;

export type ReceiverOptions = {
  /** The tool's secret, or while it rotates the one that this receiver knows. */
  secret: string;
  /** Default: any free one, on 127.0.0.1. */
  port?: number;
  /** How many of the latest calls `calls` keeps at least. Default 10 000. */
  keepCalls?: number;
};

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;

type Endpoint = { behaviour: Behaviour; verifiedCalls: number };

/** A real HTTP server that plays the tools: it verifies every call, does as each endpoint is told, and remembers. */
export async function startReceiver({ secret, port = 0, keepCalls = 10_000 }: ReceiverOptions) {
  const endpoints = new Map<string, Endpoint>();
  const calls: ReceivedCall[] = [];
  const effects = new Map<string, number>();

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const raw = await readBody(request);
    const call = describe(request, raw, signatureProblem(secret, request.headers, raw, Date.now() / 1000));
    calls.push(call);
    if (calls.length >= 2 * keepCalls) calls.splice(0, keepCalls);
    if (!call.verified) return write(response, { status: 401, body: { error: call.problem } });
    const endpoint = endpoints.get(call.path);
    if (!endpoint) return write(response, { status: 404, body: { error: 'no such tool' } });

    endpoint.verifiedCalls += 1;
    const reply = await endpoint.behaviour(call, endpoint.verifiedCalls);
    const { status = 200, effect = status >= 200 && status < 300 } = reply;
    if (effect) effects.set(call.idempotencyKey, (effects.get(call.idempotencyKey) ?? 0) + 1);
    if (reply.delayMs) await new Promise((resolve) => setTimeout(resolve, reply.delayMs));
    write(response, reply);
  };

  // A request that breaks off while it is read is the caller's business.
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await once(server.listen(port, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url,
    /** Every call that arrived, refused ones too, oldest first. */
    calls: calls as readonly ReceivedCall[],
    /** How often the work of each idempotency key was done: more than 1 is a doubled effect. */
    effects: effects as ReadonlyMap<string, number>,
    /** Registers or replaces what `path` does; its URL. */
    endpoint(path: string, behaviour: Behaviour): string {
      endpoints.set(path, { behaviour, verifiedCalls: 0 });
      return url + path;
    },
    /** Forgets calls, effects and counts; the endpoints stay. */
    reset(): void {
      calls.length = 0;
      effects.clear();
      for (const endpoint of endpoints.values()) endpoint.verifiedCalls = 0;
    },
    /** Stops at once; open connections are dropped. */
    async close(): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function describe(request: IncomingMessage, raw: Buffer, problem: string | undefined): ReceivedCall {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://receiver');
  return {
    method: request.method ?? '',
    path: pathname,
    query: Object.fromEntries(searchParams),
    idempotencyKey: String(request.headers['idempotency-key'] ?? ''),
    webhookId: String(request.headers['webhook-id'] ?? ''),
    fence: Number(request.headers['x-onceonly-fence']),
    body: parseObject(raw),
    headers: request.headers,
    at: Date.now(),
    verified: problem === undefined,
    ...(problem === undefined ? {} : { problem }),
  };
}

function parseObject(raw: Buffer): JsonObject {
  try {
    const parsed: unknown = JSON.parse(raw.toString('utf8'));
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : {};
  } catch {
    return {};
  }
}

function write(response: ServerResponse, { status = 200, headers, body = {}, hangUp }: Reply): void {
  if (hangUp === 'never') return;
  if (hangUp === 'before_answer') {
    response.socket?.resetAndDestroy();
    return;
  }
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length, ...headers });
  if (hangUp !== 'mid_body') response.end(bytes);
  else response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.socket?.destroy());
}
