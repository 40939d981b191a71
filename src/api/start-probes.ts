import express from 'express';
import type { Logger } from 'pino';
import { detailOf } from './errors.ts';
import { type ProbeDeps, probes } from './probes.ts';
import { type Listening, type ListenOptions, listen } from './server.ts';

export interface WatchedDeps extends ProbeDeps {
  readonly at: ListenOptions;
  readonly log: Logger;
}

/**
 * Serves a worker's probes, which has no REST API, to whoever watches over it.
 *
 * @throws when the address is taken.
 */
export async function startProbes({ at, log, ...deps }: WatchedDeps): Promise<Listening> {
  const app = express();
  app.disable('x-powered-by');
  app.use(probes(deps));
  app.use((_request, response) => {
    response.status(404).json({ detail: detailOf('not_found') });
  });
  const server = await listen(app, at);
  log.info({ url: server.url }, 'probes started');
  return server;
}
