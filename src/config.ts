import ipaddr from 'ipaddr.js';
import { z } from 'zod';

const integer = (fallback: number, min: number, max: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback);

const commaSeparated = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  );

const isNetwork = (text: string): boolean =>
  ['loopback', 'linklocal', 'uniquelocal'].includes(text) ||
  (/[.:]/.test(text) && (ipaddr.isValid(text) || ipaddr.isValidCIDR(text)));

/** As Express has it (https://expressjs.com/en/guide/behind-proxies.html): hops, networks, `true` for anybody, or none. */
const trustedProxies = commaSeparated
  .refine(
    (list) => list.every((one) => (list.length === 1 && /^(\d{1,2}|true|false)$/.test(one)) || isNetwork(one)),
    'must be a number of hops, a list of addresses or networks, true or false',
  )
  .transform((list): number | boolean | string[] => {
    const [only = 'false'] = list;
    if (/^\d+$/.test(only)) return Number(only);
    return only === 'true' || (only === 'false' ? false : list);
  });

const masterKey = z
  .base64()
  .transform((text) => Buffer.from(text, 'base64'))
  .refine((key) => key.length === 32, 'must be 32 bytes in base64');

/**
 * The whole environment of the product; nothing else reads it. Names and defaults are section 12 of the wire contract.
 * The `TEMPORAL_…` variables for TLS, API keys and profiles are read by `@temporalio/envconfig`, as in every Temporal tool.
 */
const Environment = z.object({
  PORT: integer(8080, 0, 65535),
  HOST: z.string().min(1).default('127.0.0.1'),
  /** Where a worker without an API serves its probes and metrics; without it, it has no port. */
  METRICS_PORT: z.coerce.number().int().min(1).max(65535).optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** Connections a process keeps for writes and reads at the most; five more are for switches, probes and to listen. */
  DATABASE_POOL_SIZE: integer(16, 4, 200),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  TEMPORAL_TASK_QUEUE: z.string().min(1).default('onceonly'),
  TEMPORAL_UI_URL: z.url({ protocol: /^https?$/ }).default('http://localhost:8233'),
  ONCEONLY_BOOTSTRAP_KEY: z
    .string()
    .regex(/^once_(live|test)_[A-Za-z0-9_-]{16,}$/, 'must look like once_live_… with at least 16 characters after it')
    .optional(),
  ONCEONLY_MASTER_KEY: masterKey,
  TOOL_ALLOWED_HOSTS: commaSeparated,
  /** Calls of https tools go through it; a user and password in it are said to it. */
  HTTPS_PROXY: z
    .string()
    .transform((text) => (text.includes('://') ? text : `http://${text}`))
    .pipe(z.url({ protocol: /^https?$/ }))
    .optional(),
  /** Tools that are called without it: names with those below them, addresses, CIDRs; `*` is all. */
  NO_PROXY: z
    .string()
    .default('')
    .transform((text) => text.split(/[\s,]+/).filter((part) => part !== '')),
  /** Calls of one tenant, and of one tool, that may be under way at once in one worker; 0: a fair share. */
  TENANT_MAX_IN_FLIGHT: integer(0, 0, 100_000),
  TOOL_MAX_IN_FLIGHT: integer(0, 0, 100_000),
  DUPLICATE_STATUS_CODE: z.enum(['200', '409']).default('200').transform(Number),
  /** Temporal refuses inputs over 2 MiB. */
  MAX_BODY_BYTES: integer(262_144, 1_024, 1_048_576),
  /** Requests a key may make; 0: as many as it likes. */
  API_RATE_LIMIT_PER_SECOND: integer(0, 0, 1_000_000),
  /** Unknown keys that a network may try; 0: as many as it likes. */
  KEY_GUESSES_PER_MINUTE: integer(600, 0, 1_000_000),
  /** How long a client may take to send a request, and take nothing of its answer. */
  CLIENT_TIMEOUT_SECONDS: integer(30, 1, 300),
  /** Connections at the most; 0: as many as the system gives. */
  MAX_CONNECTIONS: integer(15_000, 0, 1_000_000),
  /** Whose word on the address of a client is taken. */
  TRUST_PROXY: trustedProxies,
  /** How often rows are held against their workflows. */
  RECONCILE_SECONDS: integer(60, 1, 3_600),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

export type Config = z.infer<typeof Environment>;

/** These two are written either way. */
const inSmallLetters = ({ https_proxy, no_proxy }: Record<string, string | undefined>) => ({
  ...(https_proxy !== undefined && { HTTPS_PROXY: https_proxy }),
  ...(no_proxy !== undefined && { NO_PROXY: no_proxy }),
});

/** Every wrong or missing variable, one a line: an operator fixes them all in one go. Values are not repeated (they may be secret). */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/**
 * Reads the configuration from an environment.
 *
 * @example
 * const config = readConfig(process.env);
 * @throws {ConfigError} naming every variable that is wrong or missing.
 */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const present = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = Environment.safeParse({ ...inSmallLetters(present), ...present });
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const name = issue.path.join('.');
    return `  ${name}: ${present[name] === undefined ? 'is missing' : issue.message}`;
  });
  throw new ConfigError(`The environment is not complete:\n${lines.join('\n')}`);
}
