/** The tests that ask Python: each file with its script's answers made anew. Run by .ci/run. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/live/*.live.ts'],
    globalSetup: 'test/live/warm.ts',
    pool: 'forks',
    // one waits for Python half of its time
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
})
