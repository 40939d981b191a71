import type { z } from 'zod';
import type { RefusalCode } from '../contracts/errors.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Agents } from '../domain/agents.ts';
import type { Plan } from '../domain/plan.ts';
import type { Principal } from '../store/keys.ts';
import type { ApiDeps } from './deps.ts';
import type { SentHeaders } from './key-headers.ts';

type Method = 'get' | 'post' | 'patch' | 'delete';
type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined;

/**
 * What a route is to a key that is bound to agents. An agent that the request names is looked at in any case.
 *
 * | bound | |
 * | --- | --- |
 * | free | it concerns no agent beside one that is named |
 * | own | it shows and changes what is of the key's agents, and nothing else |
 * | refused | it concerns all agents of the tenant |
 */
export type Bound = 'free' | 'own' | 'refused';

/** What a handler gets: everything parsed, and who asks. */
export interface RouteInput<P, Q, B> {
  readonly tenant: string;
  /** Who asks, for the audit trail: the id of the key. */
  readonly actor: string;
  readonly principal: Principal;
  /** The agents that the asker's key is bound to, beyond which nothing may be shown; null: any. */
  readonly agents: Agents;
  readonly plan: Plan;
  readonly params: Parsed<P>;
  readonly query: Parsed<Q>;
  readonly body: Parsed<B>;
  /** A header of the request, or undefined. */
  header(name: string): string | undefined;
  /** Each time it was sent, one by one: for what may be there once only. */
  readonly sent: SentHeaders;
  /** Aborted when the client has hung up: for what is only waiting. */
  readonly signal: AbortSignal;
}

/** An answer that is more than a body with the route's own status. */
export class Reply<T> {
  readonly body: T;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(body: T, { status, headers = {} }: { status?: number; headers?: Record<string, string> } = {}) {
    this.body = body;
    this.status = status;
    this.headers = headers;
  }
}

/** An answer too long to be held: it is sent as it is made. */
export class Streamed {
  readonly contentType: string;
  readonly chunks: AsyncIterable<string>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(contentType: string, chunks: AsyncIterable<string>, headers: Record<string, string> = {}) {
    this.contentType = contentType;
    this.chunks = chunks;
    this.headers = headers;
  }
}

export interface RouteSpec<
  P extends z.ZodType | undefined,
  Q extends z.ZodType | undefined,
  B extends z.ZodType | undefined,
  A extends z.ZodType,
> {
  readonly method: Method;
  /** In Express' notation: `/v1/tools/:name`. */
  readonly path: `/v1/${string}`;
  readonly summary: string;
  readonly tag: string;
  /** The scopes any one of which its caller's key has to have; `admin` always does. */
  readonly needs: readonly Scope[];
  /** What it is to a key that is bound to agents. */
  readonly bound: Bound;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** The status of a success; 200 unless it says so. */
  readonly status?: 201;
  /** What a success answers. */
  readonly answer: A;
  /** Other successes with the same body, as a `Reply` names them: what each status means. */
  readonly otherwise?: Readonly<Record<number, string>>;
  /** Refusals of its own, beside those every route has. */
  readonly refusals?: readonly RefusalCode[];
  /** What else a success may answer, as a stream: what a line of each type of content is. */
  readonly streams?: Readonly<Record<string, string>>;
  handle(input: RouteInput<P, Q, B>, deps: ApiDeps): Promise<z.output<A> | Reply<z.output<A>> | Streamed>;
}

/** Any route, once its types have done their work. */
export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
  readonly needs: readonly Scope[];
  readonly bound: Bound;
  readonly params?: z.ZodType | undefined;
  readonly query?: z.ZodType | undefined;
  readonly body?: z.ZodType | undefined;
  readonly status?: 201;
  readonly answer: z.ZodType;
  readonly otherwise?: Readonly<Record<number, string>>;
  readonly refusals?: readonly RefusalCode[];
  readonly streams?: Readonly<Record<string, string>>;
  handle(input: RouteInput<z.ZodType, z.ZodType, z.ZodType>, deps: ApiDeps): Promise<unknown>;
}

/**
 * A route: it parses, calls one thing, answers. The schemas beside it are also its OpenAPI description.
 *
 * @example
 * export const getMe = route({ method: 'get', path: '/v1/me', summary: 'Who I am', tag: 'account', needs: following, bound: 'free', answer: Me,
 *   handle: ({ principal }, { stores }) => stores.accounts.me(principal) });
 */
export const route = <
  A extends z.ZodType,
  P extends z.ZodType | undefined = undefined,
  Q extends z.ZodType | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(
  spec: RouteSpec<P, Q, B, A>,
): Route => spec as unknown as Route;
