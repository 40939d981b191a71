import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import pg from 'pg';
import type { Database } from './database.ts';

const CHANNEL = 'onceonly_outcomes';
/** How long notes gather before they are sent together: a NOTIFY takes a lock of the whole server as it commits. */
const GATHER_MS = 2;
/** Notes that wait to be sent; while the database is away the oldest are dropped, as those who wait look by themselves. */
const MAX_WAITING = 10_000;
const RECONNECT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;

export interface Bulletin {
  /** Tells every process of the deployment, soon and without a promise: who must know looks by itself as well. */
  post(note: string): void;
  /** Hears what others post, until it is stopped; a lost connection comes back by itself, what was posted meanwhile does not. */
  listen(hear: (note: string) => void): { stop(): Promise<void> };
  /** Resolves when what was posted so far is sent, or could not be. */
  drained(): Promise<void>;
}

/**
 * Notes between the processes of a deployment, through PostgreSQL's LISTEN and NOTIFY
 * (https://www.postgresql.org/docs/current/sql-notify.html). A note is at most 7,999 bytes.
 */
export function createBulletin(db: Database, url: string): Bulletin {
  let waiting: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<unknown> = Promise.resolve();

  const send = () => {
    clearTimeout(timer);
    timer = undefined;
    const notes = waiting;
    waiting = [];
    if (notes.length === 0) return;
    sending =
      sql`select pg_notify(${CHANNEL}, note) from json_array_elements_text(${JSON.stringify(notes)}::json) as note`
        .execute(db)
        .catch(() => undefined);
  };

  return {
    post(note) {
      waiting.push(note);
      if (waiting.length > MAX_WAITING) waiting.shift();
      timer ??= setTimeout(send, GATHER_MS);
    },

    listen(hear) {
      const stopping = new AbortController();
      const listening = keepListening(url, hear, stopping.signal);
      return {
        async stop() {
          stopping.abort();
          await listening;
        },
      };
    },

    async drained() {
      send();
      await sending;
    },
  };
}

async function keepListening(url: string, hear: (note: string) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await listenOnce(url, hear, signal).catch(() => undefined);
    await sleep(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** A connection of its own, outside the pool: resolves when it is lost or no longer wanted. */
async function listenOnce(url: string, hear: (note: string) => void, signal: AbortSignal): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'onceonly-listener',
  });
  const over = new Promise<void>((resolve) => {
    client.once('error', () => resolve());
    client.once('end', () => resolve());
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  // What is lost while it is being closed is nobody's concern.
  client.on('error', () => undefined);
  client.on('notification', ({ payload }) => payload !== undefined && hear(payload));
  try {
    await client.connect();
    await client.query(`listen ${CHANNEL}`);
    await over;
  } finally {
    await client.end().catch(() => undefined);
  }
}
