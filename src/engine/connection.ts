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

/** A client that connects with its first call, and again after an outage. */
export function openClient({ connectionOptions, namespace }: TemporalConfig): Client {
  return new Client({ connection: Connection.lazy(connectionOptions), namespace });
}

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
