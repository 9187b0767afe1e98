import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  // as programs of examples/ that are packages of their own import it
  resolve: { alias: [{ find: /^saqr$/, replacement: join(import.meta.dirname, 'dist/index.js') }] },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // files share what they import: half of the time of many of them was importing it
    isolate: false,
    setupFiles: ['test/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
