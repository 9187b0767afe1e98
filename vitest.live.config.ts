/** The tests that ask Python: each file with its script's answers made anew. Run by .ci/run. */
import { defineConfig } from 'vitest/config'
import { longestFirst } from './test/longest-first.ts'

/** half a minute and more */
const LONGEST = ['prove', 'gguf', 'families', 'answers', 'jobs', 'preference', 'kills', 'training', 'memory']

export default defineConfig({
  test: {
    include: ['test/live/*.live.ts'],
    globalSetup: 'test/live/warm.ts',
    pool: 'forks',
    // one waits for Python half of its time
    maxWorkers: 2,
    sequence: { sequencer: longestFirst(LONGEST.map((name) => `live/${name}.live.ts`)) },
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
})
