import { Agent, type Dispatcher } from 'undici';
import type { Answer } from '../domain/answer.ts';
import { retryAfterSeconds } from './body.ts';
import { type GuardedConnectorOptions, guardedConnector, notSent } from './connect.ts';
import { bodyOf } from './encoded-body.ts';
import { createProxy, type ProxyOptions } from './proxy.ts';

/** One request to a tool. `timeoutMs` bounds connecting, waiting and reading together. */
export type ToolRequest = {
  url: string;
  timeoutMs: number;
  /** Already serialised and signed; empty for a GET. */
  body: string;
  headers: Record<string, string>;
  /** Default POST. */
  method?: 'POST' | 'GET';
  /**
   * Sends on a connection opened for this call alone. For what must not be sent twice: a server may close a kept
   * connection at the moment it is written to (RFC 9112, section 9.3.1), and nobody can tell whether it read that.
   */
  freshConnection?: boolean;
};

export type SenderOptions = Omit<GuardedConnectorOptions, 'proxy'> & {
  /** Default: none. */
  proxy?: ProxyOptions | undefined;
  /** Unix time in milliseconds, to read Retry-After dates. Default: `Date.now`. */
  now?: () => number;
};

/** Sends requests to tools. `send` never rejects: whatever the target does is an {@link Answer}. */
export type Sender = {
  send(call: ToolRequest): Promise<Answer>;
  /** Lets what is in flight end, then closes every connection. */
  close(): Promise<void>;
};

/**
 * A server that closes idle connections must never see us write into one that it is closing: the request would be
 * `lost` for no reason. Servers wait 5 s or longer as a rule, so we let go after 1 s.
 */
const LONGEST_IDLE_MS = 1_000;
const LONGEST_HEADERS_BYTES = 64 * 1024;

const OWN_HEADERS = {
  'user-agent': 'onceonly/1',
  accept: 'application/json, */*;q=0.5',
  // Answers are short: a coding would save little and be one more way to break. Who encodes all the same is understood.
  'accept-encoding': 'identity',
};

/** Builds the sender: guarded connections, no redirects, at most one request at a time on a connection. */
export function createSender({ guard, lookup, ca, proxy: through, now = Date.now }: SenderOptions): Sender {
  const proxy = through && createProxy(through);
  const options = {
    connect: guardedConnector({ guard, lookup, ca, proxy }),
    maxHeaderSize: LONGEST_HEADERS_BYTES,
    // The exchange's own timer covers both.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  const kept = new Agent({
    ...options,
    pipelining: 1,
    keepAliveTimeout: LONGEST_IDLE_MS,
    keepAliveMaxTimeout: LONGEST_IDLE_MS,
  });
  // Without keep-alive: undici opens a connection only for a request that waits for it, takes it for used up once its
  // answer began (client-h1.js, `onHeadersComplete`), and drops it where a request that came too late is aborted. There
  // are never more than calls in flight, which the worker bounds; a target is forgotten when its last one has closed.
  const fresh = new Agent({ ...options, pipelining: 0 });
  let closing: Promise<void> | undefined;

  return {
    async send(call) {
      // Again although registration checked it: the allow-list may have changed since.
      const target = guard.checkUrl(call.url);
      if (!target.ok) return { kind: 'target_refused', error: target.reason };
      return new Promise<Answer>((settle) => {
        const url = new URL(call.url);
        const exchange = new Exchange({ https: url.protocol === 'https:', timeoutMs: call.timeoutMs, now, settle });
        const agent = call.freshConnection ? fresh : kept;
        agent.dispatch(
          {
            origin: url.origin,
            path: url.pathname + url.search,
            method: call.method ?? 'POST',
            headers: { ...OWN_HEADERS, ...(call.body && { 'content-type': 'application/json' }), ...call.headers },
            body: call.body,
          },
          exchange,
        );
      });
    },
    close() {
      closing ??= Promise.all([kept.close(), fresh.close()]).then(() => proxy?.close());
      return closing;
    },
  };
}

type ExchangeOptions = { https: boolean; timeoutMs: number; now: () => number; settle: (answer: Answer) => void };

/**
 * One request on its way: connecting, sent, answering, settled. `onRequestStart` is the border: undici calls it on a
 * connected socket right before it writes the first byte, and a request aborted inside it is never written.
 */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #timer: NodeJS.Timeout;
  #sentOn: Dispatcher.DispatchController | undefined;
  #head: { httpStatus: number; retryAfterSeconds?: number } | undefined;
  #body = bodyOf(true, undefined);
  #ended = false;
  #settled = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#timer = setTimeout(() => this.#expire(), options.timeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Too late, or (undici may retry by itself) for the second time: nothing leaves.
    if (this.#settled || this.#sentOn) controller.abort(new Error('not to be sent'));
    else this.#sentOn = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[]>): void {
    if (status < 200) return; // informational: the answer follows
    const after = retryAfterSeconds(headers['retry-after'], this.#options.now());
    this.#head = { httpStatus: status, ...(after === undefined ? {} : { retryAfterSeconds: after }) };
    this.#body = bodyOf(status < 300, headers['content-encoding']);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#body.add(chunk)) return;
    void this.onResponseEnd();
    controller.abort(new Error('enough read'));
  }

  async onResponseEnd(): Promise<void> {
    this.#ended = true;
    const body = await this.#body.read();
    if (this.#head === undefined) return;
    this.#settle(body ? { kind: 'response', ...this.#head, body } : { kind: 'broken_body', ...this.#head });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return; // what is read is being decoded
    if (this.#head) this.#settle({ kind: 'broken_body', ...this.#head });
    else if (this.#sentOn) this.#settle({ kind: 'lost', error: 'reset' });
    else this.#settle(notSent(error, this.#options.https));
  }

  #expire(): void {
    if (this.#head) this.#settle({ kind: 'broken_body', ...this.#head });
    else if (this.#sentOn) this.#settle({ kind: 'lost', error: 'timeout' });
    else this.#settle({ kind: 'not_sent', error: 'connect_timeout' });
    this.#sentOn?.abort(new Error('out of time'));
  }

  #settle(answer: Answer): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#options.settle(answer);
  }
}
