import { afterEach, describe, expect, test } from 'vitest';
import { freshEnvironment, hasRedis } from './environment.ts';
import { type ProductProcess, startProcess } from './product.ts';

describe.each([{ redis: false }, { redis: true }])('the built product (with Redis: $redis)', ({ redis }) => {
  const processes: ProductProcess[] = [];
  const start = async (...what: Parameters<typeof startProcess>) => {
    const product = await startProcess(...what);
    processes.push(product);
    return product;
  };
  afterEach(() => Promise.all(processes.splice(0).map((product) => product.kill('SIGKILL'))));

  test.skipIf(redis && !hasRedis())('answers for its database, and ends in good order when asked to', async () => {
    const env = await freshEnvironment({ redis });
    const all = await start({ role: 'all', env });
    const answer = await fetch(`${all.url}/v1/me`, {
      headers: { authorization: `Bearer ${env.ONCEONLY_BOOTSTRAP_KEY}` },
    });
    expect(answer.status).toBe(200);
    expect(await all.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(all.logs()).toContain('"msg":"worker started"');
  });

  test.skipIf(redis && !hasRedis())('runs as an API and a worker, either of which may crash alone', async () => {
    const env = await freshEnvironment({ redis });
    const [api, worker] = await Promise.all([start({ role: 'api', env }), start({ role: 'worker', env })]);
    expect(await worker.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
    expect(await api.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  });
});
