#!/usr/bin/env node
// What `npm test` runs: the linter, the type checker over sources and tests, then every test.
//   node tools/test.mjs [vitest arguments]
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const steps = [
  ['node_modules/@biomejs/biome/bin/biome', 'check', '.'],
  // compiled itself, it checks in a third of the time; what is published is written by typescript, whose API others of our tools take
  ['node_modules/typescript-7/bin/tsc', '-p', 'test'],
  ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)],
]
for (const [script, ...args] of steps) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
