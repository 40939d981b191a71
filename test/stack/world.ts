import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { type Behaviour, type Receiver, startReceiver } from '../../src/dev/receiver.ts';
import { freshEnvironment, type ProductEnvironment } from './environment.ts';
import { type ProductProcess, type Role, startProcess } from './product.ts';
import { type Answer, createRest, type Rest } from './rest.ts';
import { isDeployment } from './shape.ts';

export const SECRET = 'a-secret-of-the-tests';

/** A name no other test has: workflow IDs are shared by all who share the Temporal server. */
export const unique = (name: string): string => `${name}-${randomBytes(5).toString('hex')}`;

export interface World {
  readonly env: ProductEnvironment;
  readonly rest: Rest;
  /** A real HTTP server that checks every signature; its endpoints are the tools. */
  readonly receiver: Receiver;
  /** The product's processes that run now. */
  readonly processes: Map<Role, ProductProcess>;
  /** Starts a process of the product, on the port its role had before. */
  start(role: Role): Promise<ProductProcess>;
  /** Ends a process: SIGKILL is a crash. */
  kill(role: Role, signal: NodeJS.Signals): Promise<void>;
  /** Registers a tool that behaves so, and answers its name. */
  tool(name: string, behaviour: Behaviour, fields?: Record<string, unknown>): Promise<string>;
  /** A tenant of its own, whose name is `name` made unique, by a key of its own. */
  tenant(name: string): Promise<Rest & { readonly tenant: string }>;
  /** One more key of a tenant. */
  key(tenant: string): Promise<Rest>;
  /** A governed call as an agent makes it. */
  run(call: Record<string, unknown>, headers?: Record<string, string>): Promise<Answer>;
  /** Asks the database what REST does not show. */
  query(sql: string, values?: unknown[]): Promise<Array<Record<string, unknown>>>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly redis?: boolean;
  readonly roles?: readonly Role[];
  /** What the product's environment differs in, such as a PostgreSQL of the test's own. */
  readonly env?: Record<string, string>;
}

/** The product over the real services, with a database of its own and a receiver for its tools. */
export async function buildWorld({
  redis = false,
  roles: asked,
  env: differs = {},
}: WorldOptions = {}): Promise<World> {
  const isSpread = isDeployment && asked === undefined;
  const roles = asked ?? (isSpread ? ['api', 'worker'] : ['all']);
  const env: ProductEnvironment = { ...(await freshEnvironment({ redis: redis || isSpread })), ...differs };
  const db = new pg.Pool({ connectionString: env.DATABASE_URL, max: 2 });
  db.on('error', () => undefined);
  const receiver = await startReceiver({ secret: SECRET });
  const processes = new Map<Role, ProductProcess>();
  const ports = new Map<Role, string>();

  const start = async (role: Role) => {
    const port = ports.get(role);
    const started = await startProcess({ role, env: { ...env, ...(port && { PORT: port }) } });
    if (started.url !== '') ports.set(role, new URL(started.url).port);
    processes.set(role, started);
    return started;
  };
  for (const role of roles) await start(role);
  // In the shape of a deployment each role is there twice.
  const seconds = isSpread
    ? [await startProcess({ role: 'api', env }), await startProcess({ role: 'worker', env })]
    : [];
  const api = processes.get('all') ?? processes.get('api');
  const others = seconds.map(({ url }) => url).filter((url) => url !== '');
  const rest = createRest(api?.url ?? '', env.ONCEONLY_BOOTSTRAP_KEY, others);

  const kill = async (role: Role, signal: NodeJS.Signals) => {
    await processes.get(role)?.kill(signal);
    processes.delete(role);
  };

  const key = async (tenant: string) => {
    const secret = `once_live_${unique('key')}`;
    await db.query(
      `insert into api_keys (id, tenant, name, hash, preview, scopes)
       values ($1, $2, 'test', sha256($3::text::bytea), 'once_live_…', '{admin}')`,
      [unique('key'), tenant, secret],
    );
    return createRest(rest.url, secret, others);
  };

  return {
    env,
    rest,
    receiver,
    processes,
    start,
    kill,
    async tool(name, behaviour, fields = {}) {
      const tool = unique(name);
      const url = receiver.endpoint(`/${tool}`, behaviour);
      const auth = { type: 'hmac_sha256', secret: SECRET };
      const saved = await rest.post('/v1/tools', { name: tool, url, auth, ...fields });
      if (saved.status !== 200) throw new Error(`the tool was refused: ${JSON.stringify(saved.body)}`);
      return tool;
    },
    async tenant(name) {
      const tenant = unique(name);
      await db.query('insert into tenants (tenant) values ($1)', [tenant]);
      return { ...(await key(tenant)), tenant };
    },
    key,
    run: (call, headers) => rest.post('/v1/ai/run', call, headers),
    query: async (sql, values) => (await db.query(sql, values)).rows,
    async close() {
      for (const [role] of processes) await kill(role, 'SIGTERM');
      for (const second of seconds) await second.kill('SIGTERM');
      await db.end();
      await receiver.close();
    },
  };
}
