import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { readConfig } from '../src/config.ts';
import { HISTORY_SHARDS, RETENTION_SECONDS } from '../src/dev/temporal-server.ts';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const text = read('docker-compose.yml');

const Service = z.object({
  image: z.string().regex(/^[a-z/-]+(:[\w.]+)?$/),
  build: z.string().optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string().regex(/^[^"]*:\d+$/)).default([]),
  volumes: z.array(z.string()).default([]),
  networks: z.array(z.literal('onceonly')),
  healthcheck: z
    .object({
      test: z.array(z.string()).optional(),
      disable: z.boolean().optional(),
      interval: z.string().optional(),
    })
    .optional(),
  depends_on: z
    .record(z.string(), z.object({ condition: z.enum(['service_healthy', 'service_completed_successfully']) }))
    .default({}),
  restart: z.string().optional(),
});

const Compose = z.object({ services: z.record(z.string(), Service) });
const { services } = Compose.parse(parse(text, { merge: true }));
const service = (name: string) => Service.parse(services[name]);
const oneShots = ['temporal-schema', 'temporal-namespace', 'migrate'];
const product = ['migrate', 'api', 'worker'];

describe('docker-compose.yml', () => {
  test('has every part of a deployment', () => {
    expect(Object.keys(services).sort()).toEqual(
      ['postgresql', 'redis', 'temporal', 'temporal-ui', 'api', 'worker', ...oneShots].sort(),
    );
  });

  test.each(Object.keys(services))('%s waits for what it needs, by a condition that can come true', (name) => {
    for (const [needed, { condition }] of Object.entries(service(name).depends_on)) {
      const isOneShot = oneShots.includes(needed);
      expect(condition).toBe(isOneShot ? 'service_completed_successfully' : 'service_healthy');
      if (!isOneShot) expect(service(needed).healthcheck?.test, needed).toBeDefined();
    }
  });

  test.each(Object.keys(services).filter((name) => !oneShots.includes(name)))('%s says whether it is well', (name) => {
    expect(service(name).healthcheck?.test?.[0]).toBe('CMD');
    expect(service(name).restart).toBe('unless-stopped');
  });

  test.each(Object.keys(services))('%s opens no port to the network, unless it is the API', (name) => {
    for (const port of service(name).ports) {
      if (name !== 'api') expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });

  test.each(product)('%s has a complete configuration, its secrets from the environment', (name) => {
    const secrets: Record<string, string> = {
      POSTGRES_PASSWORD: 'secret',
      ONCEONLY_MASTER_KEY: Buffer.alloc(32).toString('base64'),
      ONCEONLY_BOOTSTRAP_KEY: 'once_live_0123456789abcdef',
    };
    const required = /\$\{(\w+):\?[^}]*\}/g;
    const filled = Object.entries(service(name).environment).map(([variable, value]) => [
      variable,
      value.replace(required, (_, secret: string) => secrets[secret] ?? '').replace(/\$\{\w+:-([^}]*)\}/g, '$1'),
    ]);
    const config = readConfig(Object.fromEntries(filled));
    expect(config.DATABASE_URL).toBe('postgresql://onceonly:secret@postgresql:5432/onceonly');
    expect(service(name).command).toEqual(['node', 'dist/src/main.js', name]);
  });

  test('sets what scripts/deployment.sh runs: shards, retention, tenants that take turns', () => {
    expect(service('temporal').environment.NUM_HISTORY_SHARDS).toBe(String(HISTORY_SHARDS));
    expect(read('deploy/temporal/namespace.sh')).toContain(`--retention ${RETENTION_SECONDS / 3600}h`);
    expect(parse(read('deploy/temporal/dynamic-config.yaml'))['matching.enableFairness']).toEqual([{ value: true }]);
  });

  test('holds no secret and no image without a version', () => {
    expect(text).not.toMatch(/(PASSWORD|PWD|KEY): (?!\$\{)/);
    for (const name of Object.keys(services)) {
      if (!product.includes(name)) expect(service(name).image).toMatch(/:\d/);
    }
  });
});

describe('Dockerfile', () => {
  const dockerfile = read('Dockerfile');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, paths = '']) => paths.split(' '));

  test('copies what exists and the build context lets through', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    for (const path of copied) {
      expect(() => readFileSync(new URL(`../${path}`, import.meta.url)), path).not.toThrow(/ENOENT/);
      expect(allowed).toContain(path);
    }
  });

  test('runs as another user than root, listens for others, and says whether it is well', () => {
    expect(dockerfile).toMatch(/^USER node$/m);
    expect(dockerfile).toMatch(/^ENV .*HOST=0\.0\.0\.0/m);
    expect(dockerfile).toMatch(/^HEALTHCHECK /m);
    expect(dockerfile).toContain('CMD ["node", "dist/src/main.js", "all"]');
  });
});
