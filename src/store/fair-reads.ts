import { AsyncLocalStorage } from 'node:async_hooks';
import type { PostgresPool, PostgresPoolClient } from 'kysely';
import { createTurns } from './turns.ts';

/** A read that waits is given up when none of its tenant has come to its end for so long. */
const PATIENCE_MS = 2_000;
/** The same where others of its tenant do come to their end: no caller waits longer for anything. */
const LONGEST_MS = 60_000;
/** Reads that wait in a process; a tenant that is alone has half of them. */
const WAITING = 20_000;

const behalf = new AsyncLocalStorage<string>();

/** Does work whose reads wait in the line of this tenant. What is done on nobody's behalf has a line of its own. */
export const onBehalfOf = <T>(tenant: string, work: () => T): T => behalf.run(tenant, work);

/**
 * A pool whose connections tenants take turns for: thousands of callers of one make the reads of another wait for a turn, not for
 * all of them. A tenant that is alone has all `size` connections.
 */
export function fairly(pool: PostgresPool, size: number): PostgresPool {
  // A lone tenant gets half of the places (`createShares`): twice as many as connections, so that none of these is idle.
  const turns = createTurns({
    ...{ places: 2 * size, ofOne: size, patienceMs: PATIENCE_MS },
    ...{ waiting: WAITING, waitingOfOne: WAITING },
  });
  return {
    end: () => pool.end(),
    connect: () =>
      new Promise<PostgresPoolClient>((resolve, reject) => {
        const turn = { tenant: behalf.getStore() ?? '', name: 'reads' };
        const read = async () => {
          const client = await pool.connect();
          await new Promise<void>((released) => {
            resolve(releasing(client, released));
          });
        };
        turns.within(turn, read, Date.now() + LONGEST_MS).catch(reject);
      }),
  };
}

/** The very object, since Kysely knows connections by it; the pool gives it a `release` for each time that it is taken. */
function releasing(client: PostgresPoolClient, released: () => void): PostgresPoolClient {
  const release = client.release.bind(client);
  return Object.assign(client, {
    release: (destroy?: boolean) => {
      release(destroy);
      released();
    },
  });
}
