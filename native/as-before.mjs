// Is everything as it was when the same build was asked for last? Told by names, sizes and times, as make does, without reading a source.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compilerHere } from './compilers.mjs'

const here = dirname(dirname(fileURLToPath(import.meta.url)))

/** what libraries are made of: sources, what ops declare, platforms, what this processor needs, and the tools that read these */
const SOURCES = ['native', 'src/ops', 'src/devices/platforms.ts', 'src/devices/cpu/processor.ts', 'tools/ts.mjs']

function* filesBelow(path, but) {
  // editors leave links to nowhere beside what they have open, and take files away while this reads
  const info = statSync(path, { throwIfNoEntry: false })
  if (!info) return
  if (!info.isDirectory()) yield `${path} ${info.size} ${info.mtimeMs}`
  else if (path !== but) for (const name of readdirSync(path).sort()) yield* filesBelow(join(path, name), but)
}

/** and what says of the libraries beside it which processor takes which */
const LIBRARY = /^(saqr-.*\.(so|dylib|dll)|variants\.json)$/

/** what was built: this machine's, a platform's, or every platform's */
function* libraries(out, platform) {
  const folders = platform === undefined ? ['.'] : platform === 'all' ? readdirSync(out).sort() : [platform]
  for (const folder of folders.map((name) => join(out, name)).filter(existsSync)) {
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) continue
    for (const name of readdirSync(folder).sort()) if (LIBRARY.test(name)) yield* filesBelow(join(folder, name))
  }
}

/** which variants this machine needs */
function processor() {
  const told = existsSync('/proc/cpuinfo') ? /^(flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[0] : ''
  return `${process.platform} ${process.arch} ${told}`
}

/**
 * @param asked the options of `build.mjs`
 * @param root of the checkout
 */
export function asBefore({ platform, variant, all }, root = here) {
  const out = join(root, 'native/build')
  const kept = join(out, `.as-before-${[platform ?? 'here', variant, all ? 'all' : ''].filter(Boolean).join('-')}`)
  mkdirSync(out, { recursive: true })
  // what changes while it is compiled is compiled the next time
  const sources = [processor(), compilerHere()?.version, ...SOURCES.flatMap((path) => [...filesBelow(join(root, path), out)])]
  const state = () =>
    createHash('sha256')
      .update([...sources, ...libraries(out, platform)].join('\n'))
      .digest('hex')
  return {
    same: existsSync(kept) && readFileSync(kept, 'utf8') === state(),
    /** to be called when all of it is built */
    keep() {
      writeFileSync(`${kept}.${process.pid}`, state())
      renameSync(`${kept}.${process.pid}`, kept)
    },
  }
}
