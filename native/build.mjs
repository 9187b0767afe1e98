#!/usr/bin/env node
// Builds the CPU library: native/*.cpp, native/system/<system>.cpp and every src/ops/*/cpu.cpp into saqr-<variant>.so (.dylib on macOS, .dll on Windows).
//   node native/build.mjs [--all | --variant NAME] [--quiet]       for this machine, by its own compiler, into native/build/
//   node native/build.mjs --platform NAME|all [--variant NAME]     for any platform of platforms.mjs, by a cross compiler, into native/build/<platform>/
// An object is compiled again when its source, a header that it includes, the flags or the compiler changed.
import { parseArgs } from 'node:util'
import '../tools/op-lists.mjs' // which belong to what is compared
import { asBefore } from './as-before.mjs'

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    variant: { type: 'string' },
    platform: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
})
try {
  const before = asBefore(values)
  if (!before.same) {
    // loading TypeScript, in which ops and platforms are declared, takes longer than everything else here
    const { buildOwn, buildPlatforms } = await import('./builder.mjs')
    await (values.platform === undefined ? buildOwn(values) : buildPlatforms(values))
    before.keep()
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
