import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPools, type Pools } from '../../src/store/pools.ts';
import { createRecorder } from '../../src/store/recorder.ts';
import { freshEnvironment } from '../stack/environment.ts';
import { unique } from '../stack/world.ts';

/** What the database refuses no caller can send any more: a line of our own making stands for what none has thought of. */
let pools: Pools;
beforeAll(async () => {
  const { DATABASE_URL } = await freshEnvironment({ redis: false });
  pools = openPools({ DATABASE_URL, DATABASE_POOL_SIZE: 4 });
});
afterAll(() => pools.close());

const NUL = '\0';

test('a line that the database refuses takes no other down, nor costs each a transaction of its own', async () => {
  const [recorder, tenant] = [createRecorder(pools.reads), unique('t')];
  const lines = Array.from({ length: 64 }, (_, n) => ({ tenant, type: 'locked', key: n === 21 ? `k${NUL}` : `k${n}` }));
  const kept = await Promise.allSettled(lines.map((line) => recorder.record(line)));
  expect(kept.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([21]);
  const rows = await pools.reads
    .selectFrom('audit')
    .select(['key', (eb) => eb.cast<string>(eb.ref('xmin' as 'key'), 'text').as('transaction')])
    .where('tenant', '=', tenant)
    .orderBy('id')
    .execute();
  expect(rows.map(({ key }) => key).sort()).toEqual(
    lines
      .map(({ key }) => key)
      .filter((key) => !key.includes(NUL))
      .sort(),
  );
  // Halves of 64 down to one.
  expect(new Set(rows.map(({ transaction }) => transaction)).size).toBe(6);
});

test('what callers send is kept as it is, and not taken apart on its way', async () => {
  const [recorder, tenant] = [createRecorder(pools.reads), unique('t')];
  const details = [{ [`a${NUL}`]: 1 }, undefined, { text: `${NUL} "quoted" \\ {braces}`, list: [1, [2]] }, {}];
  await Promise.all(details.map((detail) => recorder.record({ tenant, type: 'locked', ...(detail && { detail }) })));
  const rows = await pools.reads
    .selectFrom('audit')
    .select('detail')
    .where('tenant', '=', tenant)
    .orderBy('id')
    .execute();
  expect(rows.map(({ detail }) => detail ?? undefined)).toEqual(details);
});
