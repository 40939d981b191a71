import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outage } from '../../stack/outage.ts';
import type { ProductProcess } from '../../stack/product.ts';

/** What docs/operations.md tells to give a container. */
const GRACE_MS = 60_000;

/** Something that can be taken down, frozen and brought back. */
export interface Part {
  readonly name: string;
  /** SIGTERM is an end in good order; SIGKILL a crash. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** Resolves when it works again. */
  start(): Promise<void>;
  /** SIGSTOP to it and all its children. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** A process of the product. `logs` is given how to read all that it has written, by its name. */
export function productPart(
  name: string,
  launch: () => Promise<ProductProcess>,
  logs: Map<string, () => string>,
): Part {
  let current: ProductProcess | undefined;
  const past: string[] = [];
  logs.set(name, () => [...past, current?.logs() ?? ''].join('\n--- started again\n'));
  return {
    name,
    async end(signal) {
      const ended = current;
      current = undefined;
      if (ended === undefined) return;
      // As an orchestrator does: what does not drain in time is killed.
      const force = setTimeout(() => void ended.kill('SIGKILL'), GRACE_MS);
      await ended.kill(signal);
      clearTimeout(force);
      past.push(ended.logs());
    },
    async start() {
      // As a supervisor does: what ends while a service is away is started again.
      for (let attempt = 1; current === undefined; attempt += 1) {
        current = await launch().catch(async (error: unknown) => {
          past.push(String(error));
          if (attempt === 5) throw error;
          await sleep(500);
          return undefined;
        });
      }
    },
    async freeze() {
      if (current !== undefined) signalAll([current.pid], 'SIGSTOP');
    },
    async thaw() {
      if (current !== undefined) signalAll([current.pid], 'SIGCONT');
    },
  };
}

/** A service beside the product. */
export function servicePart(name: string, service: Pick<Outage<never>, 'pid' | 'takeDown' | 'bringBack'>): Part {
  const signal = async (what: 'SIGSTOP' | 'SIGCONT') => {
    const pid = await service.pid();
    signalAll([pid, ...(await childrenOf(pid))], what);
  };
  return {
    name,
    end: (how) => service.takeDown({ crash: how === 'SIGKILL' }),
    start: () => service.bringBack(),
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
  };
}

/** Each backend of PostgreSQL is a process in a group of its own. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}
