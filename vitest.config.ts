import { defineConfig } from 'vitest/config';

/** What loads the machine itself, or judges what comes under load: beside others it would judge them too. */
const ALONE = [
  'test/faults/{broken-worker,checker,deadlocks,locked-row,postgres-outage,redis-outage,seed,suite,tcp-proxy,temporal-outage,two-workers}.test.ts',
  'test/judge/**/*.test.ts',
  'test/stack/**/*.test.ts',
  'test/dev/**/*.test.ts',
  'test/clients/schemathesis.test.ts',
  'test/rest/{bulkheads,half-bodies,kill-switch,metrics,slow-clients,slow-conditions,waiting}.test.ts',
];

// Real services on two cores: what waits for them may wait long.
const timeouts = { testTimeout: 120_000, hookTimeout: 120_000 };

// Recording is no test: `npm run record` (see test/workflows/record.ts).
const recording = {
  test: { ...timeouts, name: 'recording', include: ['test/workflows/record.ts'], maxWorkers: 1 },
};
const tests = [
  { test: { ...timeouts, name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 0 } } },
  {
    test: {
      ...timeouts,
      name: 'side by side',
      include: ['test/**/*.test.ts'],
      exclude: ALONE,
      maxWorkers: 2,
      sequence: { groupOrder: 1 },
    },
  },
];

export default defineConfig({
  test: {
    globalSetup: ['test/stack/global-setup.ts'],
    projects: process.env.RECORD_HISTORIES === undefined ? tests : [recording],
  },
});
