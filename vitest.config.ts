import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { longestFirst } from './test/longest-first.ts'

/** ten seconds and more of a processor */
const LONGEST = [
  'cuda/compile.test.ts',
  'ops/gradient.test.ts',
  'guides/guides.test.ts',
  'ops/value.test.ts',
  'parity/families.test.ts',
  'jobs/faults.test.ts',
  'parity/preference.test.ts',
  'serve/many.test.ts',
  'train/resume.test.ts',
  'data/streaming.test.ts',
  'parity/greedy.test.ts',
  'api/fuzz.test.ts',
  'train/dpo.test.ts',
  'jobs/jobs.test.ts',
  'track/wandb.test.ts',
  'parity/training.test.ts',
  'examples/electron.test.ts',
  'cli/serve-jobs.test.ts',
  'data/prepared-cache.test.ts',
  'engine/overlap.test.ts',
  'cli/signals.test.ts',
  'train/plan-configs.test.ts',
]

export default defineConfig({
  // as programs of examples/ that are packages of their own import it
  resolve: { alias: [{ find: /^saqr$/, replacement: join(import.meta.dirname, 'dist/package/index.js') }] },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // files share what they import: half of the time of many of them was importing it
    isolate: false,
    sequence: { sequencer: longestFirst(LONGEST) },
    setupFiles: ['test/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
