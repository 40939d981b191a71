import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Recording is no test: `npm run record` (see test/workflows/record.ts).
    include: [process.env.RECORD_HISTORIES === undefined ? 'test/**/*.test.ts' : 'test/workflows/record.ts'],
    globalSetup: ['test/stack/global-setup.ts'],
    // Real services on two cores: what waits for them may wait long, and files that share them would disturb each other's timing.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
