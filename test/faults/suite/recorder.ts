import { setTimeout as sleep } from 'node:timers/promises';
import { type Exchange, isOk, readBody } from './history.ts';
import { type Numbers, numbersFrom } from './numbers.ts';

/** What a request is about; see {@link Exchange}. */
export type About = Pick<Exchange, 'op' | 'subject'> &
  Partial<Pick<Exchange, 'owner' | 'agent' | 'leaseId' | 'ttl' | 'retryFailed' | 'usd' | 'explicit' | 'said'>>;

/** One request as it goes out. */
export interface Ask {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** A client: its requests are on the record, with what came of them. */
export interface Client {
  readonly name: string;
  readonly numbers: Numbers;
  ask(about: About, ask: Ask): Promise<Exchange>;
  /** Repeats the same request, as an honest client does, while its answer is lost, a 503, or `pending` where it wants the end. */
  insist(about: About, ask: Ask, how?: { tries?: number; untilOver?: boolean }): Promise<Exchange>;
  /** Reads what is no part of the history; undefined where that fails. `next`: where a list in a bare array goes on. */
  read(path: string): Promise<unknown>;
  readPage(path: string): Promise<{ readonly json: unknown; readonly next: string | undefined }>;
  pause(least: number, most: number): Promise<void>;
}

const TIMEOUT_MS = 10_000;

/** Where all exchanges are kept, in the order in which they ended. */
export function createRecorder(seed: number, urls: readonly [string, ...string[]], key: string) {
  const exchanges: Exchange[] = [];

  async function send({ method = 'POST', path, json, headers, timeoutMs = TIMEOUT_MS }: Ask, url: string) {
    const response = await fetch(`${url}${path}`, {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      ...(json !== undefined && { body: JSON.stringify(json) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, json: JSON.parse(text) as unknown };
  }

  function client(name: string): Client {
    // What is drawn as answers come, and as often as they do, may not change what is chosen next.
    const network = numbersFrom(seed, `${name}'s network`);
    const ask = async (about: About, what: Ask): Promise<Exchange> => {
      const url = network.pick(urls);
      const sentAt = Date.now();
      const exchange = await send(what, url).then(
        ({ status, headers, json }): Exchange => {
          const { body, error } = readBody(json);
          const retryAfter = headers.get('retry-after');
          return {
            ...{ client: name, ...about, sentAt, endedAt: Date.now(), status, body },
            ...(error !== undefined && { error }),
            ...(retryAfter !== null && { retryAfter }),
          };
        },
        (error: unknown): Exchange => ({
          ...{ client: name, ...about, sentAt, endedAt: Date.now(), body: {}, lost: reasonOf(error) },
        }),
      );
      exchanges.push(exchange);
      return exchange;
    };
    const readPage: Client['readPage'] = (path) =>
      send({ method: 'GET', path }, network.pick(urls)).then(
        ({ status, headers, json }) => ({
          json: status === 200 ? json : undefined,
          next: headers.get('x-next-cursor') ?? undefined,
        }),
        () => ({ json: undefined, next: undefined }),
      );
    return {
      name,
      numbers: numbersFrom(seed, name),
      ask,
      async insist(about, what, { tries = 6, untilOver = false } = {}) {
        for (let n = 1; ; n += 1) {
          const exchange = await ask(about, what);
          const isOver = isAnswered(exchange) && !(untilOver && exchange.status === 202);
          if (isOver || n >= tries) return exchange;
          await sleep(network.between(100, 800));
        }
      },
      readPage,
      read: async (path) => (await readPage(path)).json,
      pause: (least, most) => sleep(network.between(least, most)),
    };
  }

  return { exchanges: exchanges as readonly Exchange[], client };
}

/** It is known what came of the request, though it may be a refusal. */
export const isAnswered = (exchange: Exchange): boolean =>
  isOk(exchange) || (exchange.status !== undefined && exchange.status < 500);

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'lost';
  if (error.name === 'TimeoutError') return 'timeout';
  const cause = error.cause;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : error.name;
}
