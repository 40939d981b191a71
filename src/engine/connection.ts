import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';

type Environment = Record<string, string | undefined>;

/** Where Temporal is, as in every Temporal tool: address, namespace, TLS and API key (`@temporalio/envconfig`). */
export function temporalConfig(environment: Environment) {
  const overrideEnvVars = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined));
  const { connectionOptions, namespace } = loadClientConnectConfig({
    overrideEnvVars: overrideEnvVars as Record<string, string>,
  });
  return { connectionOptions, namespace: namespace ?? 'default' };
}

export type TemporalConfig = ReturnType<typeof temporalConfig>;

/** gRPC's own pauses grow to two minutes, for which a server that is back would seem away. */
const channelArgs = { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 1_000 };

/** https://grpc.github.io/grpc/core/md_doc_connectivity-semantics-and-api.html */
const READY = 2;

/** A connection that can tell whether the server is there at this moment. */
class WatchedConnection extends Connection {
  get isReady(): boolean {
    return this.client.getChannel().getConnectivityState(false) === READY;
  }
}

/**
 * A client that connects with its first call, and again after an outage. Nothing is repeated behind our back: whether a request
 * may have arrived is known only to who sees each of its tries (`rpc.ts`, `start.ts`).
 */
export function openClient({ connectionOptions, namespace }: TemporalConfig): Client {
  return new Client({
    connection: WatchedConnection.lazy({ ...connectionOptions, channelArgs, interceptors: [] }),
    namespace,
  });
}

/** Whether the connection of a client stands at this moment. */
export const isConnected = ({ connection }: Client): boolean =>
  connection instanceof WatchedConnection && connection.isReady;

/** A connection for a worker, and for a client in the same process: it waits for the server as long as it takes. */
export async function openWorkerConnection({ connectionOptions }: TemporalConfig): Promise<NativeConnection> {
  for (;;) {
    try {
      return await NativeConnection.connect(connectionOptions);
    } catch (error) {
      if (!(error instanceof Error) || !/connect|transport|unavailable|timed? ?out/i.test(error.message)) throw error;
      await sleep(500);
    }
  }
}

const PING_TIMEOUT_MS = 2_000;

/** Rejects while Temporal does not answer, or does not have our namespace yet; after two seconds at the latest. */
export async function pingTemporal(client: Client): Promise<void> {
  await identifyNamespace(client);
}

/**
 * The id that Temporal has given the namespace: of all the namespaces that there are this one, however its server is reached.
 *
 * @throws when Temporal does not answer, or has no such namespace.
 */
export async function identifyNamespace(client: Client): Promise<string> {
  const { namespace } = client.options;
  const { namespaceInfo } = await client.connection.withDeadline(Date.now() + PING_TIMEOUT_MS, () =>
    client.workflowService.describeNamespace({ namespace }),
  );
  return namespaceInfo?.id || namespace;
}
