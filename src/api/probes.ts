import { Router } from 'express';
import type { ApiDeps } from './deps.ts';

/** `GET /healthz`: the process lives. `GET /readyz`: it can do its work, or 503 with what is missing. */
export function probes({ stores, pingTemporal, isWorkerReady }: ApiDeps): Router {
  const router = Router();
  router.get('/healthz', (_request, response) => {
    response.json({ status: 'ok' });
  });
  router.get('/readyz', async (_request, response) => {
    const [postgres, temporal] = await Promise.all([answers(stores.ping()), answers(pingTemporal())]);
    const checks = { postgres, temporal, worker: isWorkerReady() };
    const ready = Object.values(checks).every(Boolean);
    if (!ready) response.set('Retry-After', '1');
    response.status(ready ? 200 : 503).json({ status: ready ? 'ready' : 'unavailable', checks });
  });
  return router;
}

const answers = (asked: Promise<void>): Promise<boolean> =>
  asked.then(
    () => true,
    () => false,
  );
