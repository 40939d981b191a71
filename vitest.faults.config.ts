import { defineConfig } from 'vitest/config';

// The suite brings services of its own, which it may take down: those that the other tests share would only cost time.
export default defineConfig({
  test: {
    include: ['test/faults/{suite,checker,seed,tcp-proxy}.test.ts'],
    fileParallelism: false,
    reporters: ['default'],
    disableConsoleIntercept: true,
  },
});
