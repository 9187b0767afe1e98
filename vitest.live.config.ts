/** The tests that ask Python: one file after the other, each with its script's answers made anew. Run by .ci/run. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/live/*.live.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
})
