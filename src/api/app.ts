import { randomUUID } from 'node:crypto';
import express, { type Express, type RequestHandler } from 'express';
import { Refusal } from '../contracts/errors.ts';
import { selfHosted } from '../domain/plan.ts';
import { onBehalfOf } from '../store/fair-reads.ts';
import { readBody } from './body.ts';
import { onlyOwn } from './bound.ts';
import type { ApiDeps } from './deps.ts';
import { answerErrors, detailOf } from './errors.ts';
import { limitKeys } from './limit.ts';
import { measure } from './measure.ts';
import { probes } from './probes.ts';
import { readQuery } from './query.ts';
import { reference } from './reference.ts';
import { Reply, type Route, Streamed } from './route.ts';
import { routes } from './routes/index.ts';
import { permit } from './scope.ts';
import { onlySound } from './sound-request.ts';
import { stream } from './stream.ts';
import { parsePart } from './validation.ts';

/**
 * The REST facade over everything it is given. Order of checks: key, scope, rate limit, body, schema, work (contract,
 * section 2).
 */
export function createApp(deps: ApiDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.set('query parser', readQuery);
  app.set('trust proxy', deps.config.TRUST_PROXY);
  app.use(measure(deps.metrics));
  app.use(requestId);
  app.use(onlySound);
  app.use(probes({ ...deps, pingDatabase: deps.stores.ping }));
  app.use(reference());

  const identify: RequestHandler = async (request, response, next) => {
    response.locals.principal = await deps.authenticator.identify({
      authorization: request.headers.authorization,
      address: () => request.ip,
    });
    next();
  };
  const { keys } = deps.limits;
  const admit = keys === undefined ? [identify] : [identify, limitKeys(keys, deps.stores.tallies)];
  for (const route of routes) {
    const body = route.body === undefined ? [] : readBody(deps.config.MAX_BODY_BYTES);
    app[route.method](route.path, ...admit, permit(route), ...(body as RequestHandler[]), answerWith(route, deps));
  }
  for (const [path, methods] of methodsByPath(routes)) app.all(path, refuseMethod(methods));
  app.use((_request, response) => {
    response.status(404).json({ detail: detailOf('not_found') });
  });
  app.use(answerErrors(deps.log));
  return app;
}

/** The caller's own id where it can be a header value again, else a new one. */
const requestId: RequestHandler = (request, response, next) => {
  const given = request.headers['x-request-id'];
  response.set('X-Request-Id', typeof given === 'string' && /^[\x21-\x7e]{1,128}$/.test(given) ? given : randomUUID());
  next();
};

const answerWith =
  (route: Route, deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { principal } = response.locals;
    const hungUp = new AbortController();
    response.once('close', () => response.writableFinished || hungUp.abort());
    const params = route.params && parsePart(route.params, request.params, 'path');
    const query = route.query && parsePart(route.query, request.query, 'query');
    const body = route.body && parsePart(route.body, request.body, 'body');
    onlyOwn(principal.agentIds, { params, query, body });
    const asked = {
      tenant: principal.tenant,
      actor: principal.keyId,
      principal,
      agents: principal.agentIds,
      plan: selfHosted,
      params,
      query,
      body,
      header: (name: string) => request.get(name),
      sent: (name: string) => request.headersDistinct[name.toLowerCase()] ?? [],
      signal: hungUp.signal,
    };
    const answer = await onBehalfOf(principal.tenant, () => route.handle(asked, deps));
    if (answer instanceof Streamed) {
      const patienceMs = deps.config.CLIENT_TIMEOUT_SECONDS * 1000;
      return await onBehalfOf(principal.tenant, () => stream(answer, response, patienceMs));
    }
    const reply = answer instanceof Reply ? answer : new Reply(answer);
    response
      .status(reply.status ?? route.status ?? 200)
      .set(reply.headers)
      .json(reply.body);
  };

function methodsByPath(all: readonly Route[]): Map<string, string[]> {
  const byPath = new Map<string, string[]>();
  for (const { path, method } of all) byPath.set(path, [...(byPath.get(path) ?? []), method.toUpperCase()]);
  return byPath;
}

const refuseMethod =
  (methods: readonly string[]): RequestHandler =>
  (_request, response) => {
    response.set('Allow', methods.join(', '));
    throw new Refusal('method_not_allowed');
  };
