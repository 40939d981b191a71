import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ok } from '../../src/dev/behaviours.ts';
import type { Redis } from '../../src/dev/redis.ts';
import { hasRedis } from '../stack/environment.ts';
import { type Outage, privateRedis } from '../stack/outage.ts';
import { buildWorld, unique, type World } from '../stack/world.ts';
import { eventually, steadyCallers } from './scene.ts';

// CI installs redis-server; on a machine without it there is no Redis to lose.
describe.skipIf(!hasRedis()).each(['in good order', 'by a crash', 'and stands still'])('Redis goes away: %s', (how) => {
  let redis: Outage<Redis>;
  let world: World;
  const goAway = async () =>
    how === 'and stands still'
      ? process.kill(await redis.pid(), 'SIGSTOP')
      : await redis.takeDown({ crash: how === 'by a crash' });
  const comeBack = async () =>
    how === 'and stands still' ? process.kill(await redis.pid(), 'SIGCONT') : await redis.bringBack();
  beforeAll(async () => {
    redis = await privateRedis();
    world = await buildWorld({ roles: ['api', 'worker'], env: { REDIS_URL: redis.service.url } });
  });
  afterAll(async () => {
    await world?.close();
    await redis?.end();
  });

  test('and comes back empty, and no caller sees any of it', async () => {
    const tool = await world.tool('charge', ok());
    const [held, owned] = [unique('key'), unique('key')];
    await world.rest.post('/v1/check-lock', { key: held, ttl: 600 });
    await world.rest.post('/v1/check-lock', { key: owned, ttl: 600, owner: 'me' });
    const stillTaken = async () => {
      const asked = [{ key: held }, { key: owned }, { key: owned, owner: 'other' }, { key: owned, owner: 'me' }];
      const answers = await Promise.all(asked.map((body) => world.rest.post('/v1/check-lock', body)));
      expect(answers.map(({ body }) => body.status)).toEqual(['duplicate', 'duplicate', 'duplicate', 'locked']);
    };
    const callers = steadyCallers(world, tool, { wait: 30 });
    const someMore = async () => {
      const now = callers.answers().length;
      await eventually(() => expect(callers.answers().length).toBeGreaterThan(now + 40));
    };
    await someMore();
    await stillTaken();
    await goAway();
    await someMore();
    await stillTaken();
    await comeBack();
    await eventually(() => expect(world.processes.get('api')?.logs()).toMatch(/redis is away.*redis is reachable/s));
    await someMore();
    await stillTaken();
    const statuses = (await callers.stop()).map(({ status, body }) => [status, body.status ?? body.decision]);
    const distinct = new Set(statuses.map((pair) => JSON.stringify(pair)));
    expect([...distinct].sort()).toEqual(['[200,"acquired"]', '[200,"executed"]', '[200,"locked"]', '[200,null]']);
    expect((await world.rest.get('/readyz')).status).toBe(200);
  });
});
