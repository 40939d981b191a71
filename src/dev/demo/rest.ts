import type { z } from 'zod';
import type { JsonObject } from '../../contracts/common.ts';
import { type Narrator, Unexpected } from './narrator.ts';

/** One request of the story. `show` names the fields of the answer that the reader sees. */
export interface Request<S extends z.ZodType> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: JsonObject;
  readonly meaning: string;
  readonly answer: S;
  readonly show: ReadonlyArray<keyof z.output<S> & string>;
}

/** Someone who calls the API. */
export interface Caller {
  readonly name: string;
  /** @throws {Unexpected} when the answer is an error, or not what the contract says. */
  call<S extends z.ZodType>(request: Request<S>): Promise<z.output<S>>;
  /** Sends the request and cuts the connection once `moment` has come, before there is an answer. */
  lose<S extends z.ZodType>(request: Request<S>, moment: Promise<void>): Promise<void>;
}

export type Rest = ReturnType<typeof createRest>;

/** The longest that the API lets a call wait is 60 seconds. */
const patienceMs = 65_000;

/** The REST API as everyone in the story uses it: plain HTTP with a key. `signal` ends every request. */
export function createRest(access: { url: string; apiKey: string; signal: AbortSignal; narrator: Narrator }) {
  const { url, apiKey, signal, narrator } = access;
  let first: Sent | undefined;

  const send = (name: string, request: Request<z.ZodType>, until: readonly AbortSignal[] = []): Promise<Response> => {
    const { method, path, body, meaning } = request;
    first ??= { method, path, ...(body && { body }) };
    narrator.asks(name, `${method} ${path}`, meaning);
    return fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs), ...until]),
      ...(body && { body: JSON.stringify(body) }),
    });
  };

  const caller = (name: string): Caller => ({
    name,
    async call(request) {
      const response = await send(name, request);
      const text = await response.text();
      const parsed = response.ok ? request.answer.safeParse(JSON.parse(text)) : undefined;
      if (!parsed?.success) {
        throw new Unexpected(`${request.method} ${request.path} was answered ${response.status} ${text.slice(0, 500)}`);
      }
      narrator.hears(name, `${response.status}  ${summary(parsed.data, request.show)}`);
      return parsed.data;
    },
    async lose(request, moment) {
      const cut = new AbortController();
      const answered = send(name, request, [cut.signal]).then(
        async (response) => `${response.status} ${(await response.text()).slice(0, 300)}`,
      );
      const outcome = answered.catch((error: unknown) => {
        if (!cut.signal.aborted || signal.aborted) throw error;
        return 'nothing: the connection broke';
      });
      await Promise.race([moment, outcome]);
      cut.abort();
      const heard = await outcome;
      narrator.hears(name, heard);
      narrator.expect(
        'the agent has no answer and cannot know whether it has paid',
        heard,
        'nothing: the connection broke',
      );
    },
  });

  return {
    caller,
    /** The request that opened the story. */
    first: () => first,
  };
}

/** A request as it went over the wire. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: JsonObject;
}

/** The same request as a command for a POSIX shell; `$ONCEONLY_API_KEY` is for the reader to set. */
export function curlOf({ method, path, body }: Sent, url: string): readonly string[] {
  const data = body === undefined ? [] : [`-d ${quoted(JSON.stringify(body))}`];
  const options = ['-H "Authorization: Bearer $ONCEONLY_API_KEY"', "-H 'Content-Type: application/json'", ...data];
  return [`curl -X ${method} ${url}${path}`, ...options.map((option) => `  ${option}`)].map((line, i) =>
    i === options.length ? line : `${line} \\`,
  );
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function summary(answer: unknown, show: readonly string[]): string {
  const fields = answer as Readonly<Record<string, unknown>>;
  return show.map((name) => `${name}=${plain(fields[name])}`).join('  ');
}

const plain = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
