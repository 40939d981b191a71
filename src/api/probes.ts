import { Router } from 'express';
import type { Scraper } from '../metrics/scrape.ts';

export interface ProbeDeps {
  /** Rejects while PostgreSQL does not answer. */
  readonly pingDatabase: () => Promise<void>;
  /** Rejects while Temporal does not answer. */
  readonly pingTemporal: () => Promise<void>;
  /** Whether the worker of this process, if it has one, is at work. */
  readonly isWorkerReady: () => boolean;
  /** Whether this process has the master key that the database was made with. */
  readonly hasMasterKey: () => boolean;
  readonly scrape: Scraper;
}

/**
 * What watches a process needs no key for. `GET /healthz`: the process lives. `GET /readyz`: it can do its work, or 503
 * with what is missing. `GET /metrics`: what it counts, for Prometheus.
 */
export function probes({ pingDatabase, pingTemporal, isWorkerReady, hasMasterKey, scrape }: ProbeDeps): Router {
  const router = Router();
  router.get('/healthz', (_request, response) => {
    response.json({ status: 'ok' });
  });
  router.get('/readyz', async (_request, response) => {
    const [postgres, temporal] = await Promise.all([answers(pingDatabase()), answers(pingTemporal())]);
    const checks = { postgres, temporal, worker: isWorkerReady(), master_key: hasMasterKey() };
    const ready = Object.values(checks).every(Boolean);
    if (!ready) response.set('Retry-After', '1');
    response.status(ready ? 200 : 503).json({ status: ready ? 'ready' : 'unavailable', checks });
  });
  router.get('/metrics', async (_request, response) => {
    const { contentType, text } = await scrape();
    response.set('Content-Type', contentType).send(text);
  });
  return router;
}

const answers = (asked: Promise<void>): Promise<boolean> =>
  asked.then(
    () => true,
    () => false,
  );
