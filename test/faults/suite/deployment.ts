import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../../src/dev/find-program.ts';
import { freePort } from '../../../src/dev/ports.ts';
import { type Receiver, startReceiver } from '../../../src/dev/receiver.ts';
import { migrate } from '../../../src/store/migrate.ts';
import { privatePostgres, privateRedis, privateTemporal } from '../../stack/outage.ts';
import { type Role, startProcess } from '../../stack/product.ts';
import { type Part, productPart, servicePart } from './parts.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export const SECRET = 'a-secret-of-the-fault-suite';

/** The deployment shape: two APIs and two workers over services of their own, every connection through a proxy. */
export interface Deployment {
  readonly apis: readonly [Part, Part];
  readonly workers: readonly [Part, Part];
  readonly postgres: Part;
  readonly temporal: Part;
  /** Absent where `redis-server` is not installed. */
  readonly redis: Part | undefined;
  /** Every link by what it joins, such as `worker-1→postgres`. */
  readonly links: ReadonlyMap<string, TcpProxy>;
  /** Where clients reach each API. */
  readonly urls: readonly [string, string];
  readonly key: string;
  readonly receiver: Receiver;
  /** Where the product reaches the receiver. */
  readonly receiverUrl: string;
  /** What each process of the product has written, the ended ones too. */
  logs(): ReadonlyMap<string, string>;
  close(): Promise<void>;
}

/** Starts it; `say` is told how far it is. */
export async function deploy(say: (line: string) => void): Promise<Deployment> {
  const closers: Array<() => Promise<unknown>> = [];
  const closing = async () => {
    for (const close of closers.reverse()) await close().catch((error: unknown) => say(`closing: ${error}`));
  };
  try {
    return await build(closers, closing, say);
  } catch (error) {
    await closing();
    throw error;
  }
}

async function build(
  closers: Array<() => Promise<unknown>>,
  close: () => Promise<void>,
  say: (line: string) => void,
): Promise<Deployment> {
  const kept = <T extends { end(): Promise<void> }>(service: T): T => {
    closers.push(() => service.end());
    return service;
  };
  const [postgres, temporal, redis] = await Promise.all([
    privatePostgres().then(kept),
    privateTemporal().then(kept),
    findProgram('redis-server', process.env.PATH) === undefined ? undefined : privateRedis().then(kept),
  ]);
  const receiver = await startReceiver({ secret: SECRET, keepCalls: 1_000 });
  closers.push(() => receiver.close());
  await migrate({ DATABASE_URL: postgres.service.url });
  say('services are up');

  const links = new Map<string, TcpProxy>();
  const link = async (name: string, port: number) => {
    const proxy = await startTcpProxy({ port });
    links.set(name, proxy);
    closers.push(() => proxy.close());
    return proxy.port;
  };
  const directory = await mkdtemp(join(tmpdir(), 'onceonly-faults-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const profiles = join(directory, 'no-profiles.toml');
  await writeFile(profiles, '[profile.default]\n');
  const shared = {
    TEMPORAL_CONFIG_FILE: profiles,
    TEMPORAL_UI_URL: temporal.service.uiUrl,
    TEMPORAL_TASK_QUEUE: 'onceonly',
    ONCEONLY_BOOTSTRAP_KEY: `once_live_${randomBytes(24).toString('base64url')}`,
    ONCEONLY_MASTER_KEY: randomBytes(32).toString('base64'),
    TOOL_ALLOWED_HOSTS: '127.0.0.0/8,::1,localhost',
    LOG_LEVEL: 'info',
  };
  const through = (url: string, port: number) => {
    const moved = new URL(url);
    moved.port = String(port);
    return moved.href;
  };
  const environmentOf = async (name: string) => ({
    ...shared,
    DATABASE_URL: through(postgres.service.url, await link(`${name}→postgres`, postgres.service.port)),
    TEMPORAL_ADDRESS: `127.0.0.1:${await link(`${name}→temporal`, temporal.service.port)}`,
    ...(redis && { REDIS_URL: through(redis.service.url, await link(`${name}→redis`, redis.service.port)) }),
  });

  const logs = new Map<string, () => string>();
  const processOf = async (role: Role, n: number): Promise<Part & { readonly port: number }> => {
    const name = `${role}-${n}`;
    const port = await freePort();
    const env = { ...(await environmentOf(name)), PORT: String(port) };
    const part = productPart(name, () => startProcess({ role, env }), logs);
    closers.push(() => part.end('SIGKILL'));
    return { ...part, port };
  };
  const apis = [await processOf('api', 1), await processOf('api', 2)] as const;
  const workers = [await processOf('worker', 1), await processOf('worker', 2)] as const;
  for (const part of [...apis, ...workers]) await part.start();
  say('two APIs and two workers are up');

  const urlOf = async (name: string, port: number) => `http://127.0.0.1:${await link(name, port)}`;
  return {
    apis,
    workers,
    postgres: servicePart('postgres', postgres),
    temporal: servicePart('temporal', temporal),
    redis: redis && servicePart('redis', redis),
    urls: [await urlOf('client→api-1', apis[0].port), await urlOf('client→api-2', apis[1].port)],
    receiverUrl: await urlOf('worker→receiver', Number(new URL(receiver.url).port)),
    links,
    key: shared.ONCEONLY_BOOTSTRAP_KEY,
    receiver,
    logs: () => new Map([...logs].map(([name, read]) => [name, read()])),
    close,
  };
}
