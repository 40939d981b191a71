import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { callsOf } from './calls.ts';
import { type Measured, measure } from './load.ts';
import { residentMiB } from './memory.ts';
import { buildScene } from './scene.ts';

/** Whether as many locks and leases may be open at once, what they need meanwhile, and what an action costs beside them. */
const { values: options } = parseArgs({
  options: {
    locks: { type: 'string', default: '100000' },
    leases: { type: 'string', default: '10000' },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const CONCURRENCY = 32;
const TTL_SECONDS = 24 * 3600;
/** Each so-many-th is asked for once more at the end. */
const SAMPLE = 100;

const scene = await buildScene({ say });
const { action } = callsOf(scene);
const run = randomUUID();

async function memory(): Promise<string> {
  const { product, Temporal, Redis } = scene.pids;
  const told: string[] = [];
  for (const [name, pid] of Object.entries({ product, Temporal, Redis }))
    if (pid !== undefined) told.push(`${name} ${(await residentMiB(pid)).toFixed(0)} MiB`);
  return told.join(', ');
}

/** Asks for so many keys; the answer has to be the expected one for each of them. */
async function ask(path: string, count: number, status: string, step = 1): Promise<Measured> {
  let n = 0;
  const next = async () => {
    const key = `${run}/${n}`;
    n += step;
    const body = await scene.post(path, { key, ttl: TTL_SECONDS });
    if (body.status !== status) throw new Error(`${path} ${key}: ${JSON.stringify(body)}`);
  };
  return await measure(next, { concurrency: CONCURRENCY, seconds: 3600 * 24, calls: Math.ceil(count / step) });
}

const figures = ({ done, perSecond, p50, p99 }: Measured): string =>
  `${done}, ${perSecond.toFixed(0)}/s, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`;
const actions = () => measure(action, { concurrency: CONCURRENCY, seconds: 20 });

try {
  await measure(action, { concurrency: CONCURRENCY, seconds: 5 });
  say(`before: ${await memory()}`);
  say(`actions before: ${figures(await actions())}`);
  const [locks, leases] = [Number(options.locks), Number(options.leases)];
  say(`locks taken: ${figures(await ask('/v1/check-lock', locks, 'locked'))}; ${await memory()}`);
  say(`leases acquired: ${figures(await ask('/v1/ai/lease', leases, 'acquired'))}; ${await memory()}`);
  say(`actions beside them: ${figures(await actions())}; ${await memory()}`);
  say(`locks asked for again: ${figures(await ask('/v1/check-lock', locks, 'duplicate', SAMPLE))}`);
  say(`leases asked for again: ${figures(await ask('/v1/ai/lease', leases, 'polling', SAMPLE))}`);
} finally {
  await scene.close();
}
