import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import { temporalLogger } from '../log.ts';

/** Another process may take a port between our finding it free and the SDK's taking it. */
const TRIES = 3;

export interface SdkRuntime {
  /** The SDK's own metrics in Prometheus' text format; rejects when it does not tell. */
  readonly readMetrics: () => Promise<string>;
}

let installed: Promise<SdkRuntime> | undefined;

/**
 * The SDK has one runtime a process: it is told once, before any connection, where to log, to leave signals to us, and to
 * tell its metrics at an address that only this machine can reach.
 */
export function installRuntime(log: Logger): Promise<SdkRuntime> {
  installed ??= install(log, TRIES);
  return installed;
}

async function install(log: Logger, tries: number): Promise<SdkRuntime> {
  const bindAddress = `127.0.0.1:${await freePort()}`;
  const prometheus = { bindAddress, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };
  try {
    Runtime.install({
      logger: temporalLogger(log),
      shutdownSignals: [],
      telemetryOptions: { metrics: { attachServiceName: false, prometheus } },
    });
  } catch (error) {
    if (tries <= 1) throw error;
    return await install(log, tries - 1);
  }
  return {
    async readMetrics() {
      const response = await fetch(`http://${bindAddress}/metrics`);
      if (!response.ok) throw new Error(`the SDK answered ${response.status} for its metrics`);
      return await response.text();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
