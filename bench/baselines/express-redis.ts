// A child process: check-lock with nothing durable behind it, Express and Redis' SET NX alone.
import express from 'express';
import { Redis } from 'ioredis';

const [redisUrl, port] = process.argv.slice(2) as [string, string];
const redis = new Redis(redisUrl);
const app = express();
app.disable('x-powered-by');
app.use(express.json());
app.post('/v1/check-lock', async (request, response) => {
  const { key, ttl } = request.body;
  const locked = (await redis.set(`bare:${key}`, '1', 'EX', ttl, 'NX')) === 'OK';
  response.json({ success: locked, status: locked ? 'locked' : 'duplicate', key, ttl });
});
app.listen(Number(port), '127.0.0.1', () => process.send?.('ready'));
process.on('SIGTERM', () => process.exit(0));
