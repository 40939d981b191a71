import { sql } from 'kysely';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { fairly, onBehalfOf } from '../../src/store/fair-reads.ts';
import { createDatabase } from '../stack/environment.ts';
import { unique } from '../stack/world.ts';

const CONNECTIONS = 2;

let reads: Database;
beforeEach(async () => {
  const url = await createDatabase(inject('services').databaseUrl, unique('reads').replace('-', '_'));
  reads = openDatabase(url, CONNECTIONS, { shared: (pool) => fairly(pool, CONNECTIONS) });
});
afterEach(() => reads.destroy());

const read = () => sql`select pg_sleep(0.01)`.execute(reads);

/** Reads of one tenant that are all asked for at once, and how many of them are done. */
function manyOf(tenant: string, count: number) {
  let done = 0;
  const all = Array.from({ length: count }, () => onBehalfOf(tenant, () => read().then(() => (done += 1))));
  return { all: Promise.all(all), done: () => done };
}

test('hundreds of reads of one tenant are hardly ahead of another, nor of what is done on nobody’s behalf', async () => {
  const many = manyOf('many', 300);
  for (let n = 1; n <= 5; n += 1) {
    await onBehalfOf('other', read);
    await read();
    // Each waited for what was under way, and for those whose turn came in between.
    expect(many.done()).toBeLessThanOrEqual(n * 12 * CONNECTIONS);
  }
  await many.all;
});

test('a tenant that is alone has all connections', async () => {
  const both = barrier(CONNECTIONS);
  await onBehalfOf('alone', () =>
    Promise.all(Array.from({ length: CONNECTIONS }, () => reads.connection().execute(() => both()))),
  );
});

test('reads that fail give back what they had', async () => {
  const broken = () => onBehalfOf('broken', () => sql`select 1 / 0`.execute(reads));
  const ended = () => onBehalfOf('broken', () => sql`select pg_terminate_backend(pg_backend_pid())`.execute(reads));
  for (let n = 0; n < 5 * CONNECTIONS; n += 1) {
    await expect(broken()).rejects.toThrow();
    await expect(ended()).rejects.toThrow();
  }
  // The connection that was ended last is found out by its next read.
  await broken().catch(() => undefined);
  await manyOf('broken', 20).all;
});

/** Resolves for all once so many have come. */
function barrier(count: number): () => Promise<void> {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let missing = count;
  return () => {
    missing -= 1;
    if (missing === 0) open();
    return opened;
  };
}
