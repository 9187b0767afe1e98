#!/usr/bin/env node
// Builds the CPU library: native/*.cpp and every src/ops/*/cpu.cpp into native/build/saqr-<variant>.so (.dylib on macOS).
//   node native/build.mjs [--all | --variant NAME] [--quiet]
// An object is compiled again when its source, a header that it includes, the flags or the compiler changed.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeAttrs, writeIfNew } from './attrs.mjs'

const native = dirname(fileURLToPath(import.meta.url))
const root = dirname(native)
const out = join(native, 'build')

/**
 * Best first. `needs`: flags of /proc/cpuinfo; `system`: it is of this one alone. `refusable`:
 * the system may forbid it when the library is opened, so the next is built too. `slowOn`: vendor whose processors run it, but slower than the next: Intel's cores take the
 * bf16 dot product at half the rate of f32 multiply-adds (149 and 306 GFLOP/s on two threads of a Xeon, bench/results/ops-xeon.txt), AMD's at twice.
 */
export const VARIANTS = [
  {
    name: 'x86-64-amx',
    arch: 'x64',
    system: 'linux', // which a process asks for its tiles
    refusable: true,
    flags: ['-march=x86-64-v4', '-mavx512bf16', '-mamx-tile', '-mamx-bf16', '-mprefer-vector-width=512'],
    needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl', 'avx512_bf16', 'amx_tile', 'amx_bf16'],
  },
  {
    name: 'x86-64-v4-bf16',
    arch: 'x64',
    flags: ['-march=x86-64-v4', '-mavx512bf16', '-mprefer-vector-width=512'],
    needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl', 'avx512_bf16'],
    slowOn: 'GenuineIntel',
  },
  {
    name: 'x86-64-v4',
    arch: 'x64',
    flags: ['-march=x86-64-v4', '-mprefer-vector-width=512'],
    needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'],
  },
  { name: 'x86-64-v3', arch: 'x64', flags: ['-march=x86-64-v3'], needs: ['avx2', 'fma', 'bmi2', 'f16c'] },
  { name: 'arm64', arch: 'arm64', flags: [], needs: [] },
]
/** Never shipped: the tiles' arithmetic in C++, so that what is written for them is tested on any processor with AVX-512. */
const EMULATED = {
  name: 'x86-64-amx-emulated',
  arch: 'x64',
  flags: ['-march=x86-64-v4', '-mavx512bf16', '-DSAQR_TILES_EMULATED', '-mprefer-vector-width=512'],
}
const FLAGS = ['-O3', '-std=c++20', '-fPIC', '-fno-math-errno', '-ffp-contract=fast', '-fvisibility=hidden', '-Wall', '-Wextra', '-pthread']

/** sources whose sums are another program's, float by float: no product is contracted with a sum */
const EXACT = ['native/ggml-blocks.cpp', 'native/ggml-blocks-32.cpp', 'native/ggml-super-blocks.cpp']

/** the compiler's own runtime goes along: the library runs where none is installed */
const STATIC = process.platform === 'linux' ? ['-static-libstdc++', '-static-libgcc'] : []

/** Variants this processor can run, best first. */
export function runnable() {
  const own = VARIANTS.filter((v) => v.arch === process.arch && (v.system ?? process.platform) === process.platform)
  if (process.platform !== 'linux' || process.arch !== 'x64') return own
  const cpuinfo = readFileSync('/proc/cpuinfo', 'utf8')
  const line = (name) => cpuinfo.match(new RegExp(`^${name}\\s*:(.*)$`, 'm'))?.[1].trim() ?? ''
  const flags = new Set(line('flags').split(/\s+/))
  return own.filter((v) => v.needs.every((f) => flags.has(f)) && v.slowOn !== line('vendor_id'))
}

export function libraryPath(variant) {
  return join(out, `saqr-${variant}.${process.platform === 'darwin' ? 'dylib' : 'so'}`)
}

function findCompiler() {
  for (const name of [process.env.CXX, 'g++', 'c++', 'clang++'].filter(Boolean)) {
    const r = spawnSync(name, ['--version'], { encoding: 'utf8' })
    if (r.status === 0) return { name, version: r.stdout.split('\n')[0] }
  }
  throw new Error(
    'No C++ compiler found: install g++ (Debian, Ubuntu: `apt install g++`; macOS: `xcode-select --install`), version 11 or later.',
  )
}

const sha = (...parts) => createHash('sha256').update(parts.join('\0')).digest('hex')
const files = (dir, suffix) =>
  existsSync(dir)
    ? readdirSync(dir)
        .filter((f) => f.endsWith(suffix))
        .sort()
        .map((f) => join(dir, f))
    : []
const opFiles = (suffix) =>
  readdirSync(join(root, 'src/ops'), { withFileTypes: true })
    .filter((d) => d.isDirectory())
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((d) => files(join(root, 'src/ops', d.name), suffix))

/** Does the compiler (and its assembler) know what the flags ask for? g++ has tiles from version 11 on. */
function knows(compiler, flags) {
  const source = flags.includes('-mamx-tile') ? '#include <immintrin.h>\nvoid f() { _tile_release(); _tile_dpbf16ps(0, 1, 2); }' : ''
  const args = [...flags, '-x', 'c++', '-c', '-o', '/dev/null', '-']
  return spawnSync(compiler, args, { input: source }).status === 0
}

function run(command, args) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', failed)
    child.on('exit', (code) => (code === 0 ? done() : failed(new Error(`${command} failed (exit ${code}): ${args.at(-1)}`))))
  })
}

async function compileAll(jobs, width) {
  const queue = [...jobs]
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let job = queue.shift(); job; job = queue.shift()) {
        await run(job.compiler, job.args)
        writeFileSync(`${job.object}.key`, keyOf(job))
      }
    }),
  )
}

/** Everything a source was compiled from, as the compiler wrote it down (make's syntax, paths below the root); null before the first time. */
function dependencies(object) {
  const path = object.replace(/\.o$/, '.d')
  if (!existsSync(path)) return null
  const list = readFileSync(path, 'utf8')
    .replace(/^[^:]*:/, '')
    .replaceAll('\\\n', ' ')
    .trim()
    .split(/(?<!\\)\s+/)
    .map((file) => file.replaceAll('\\ ', ' '))
  const paths = list.map((file) => resolve(root, file))
  return paths.every((file) => existsSync(file)) ? paths : null
}

/** what an object is made of; '' where that is not known yet */
function keyOf({ object, compiled }) {
  const list = dependencies(object)
  return list ? sha(compiled, ...list.map((file) => readFileSync(file, 'utf8'))) : ''
}

const readKey = (path) => (existsSync(path) && existsSync(`${path}.key`) ? readFileSync(`${path}.key`, 'utf8') : '')

/** Builds one variant; returns its library's path. */
export async function build(variant, { quiet = false } = {}) {
  const spec = [...VARIANTS, EMULATED].find((v) => v.name === variant)
  if (!spec) throw new Error(`No variant "${variant}": ${VARIANTS.map((v) => v.name).join(', ')}.`)
  const compiler = findCompiler()
  const flags = [...FLAGS, ...spec.flags, `-DSAQR_VARIANT="${spec.name}"`, '-Inative', '-Inative/build']
  await writeAttrs(out)
  const sources = [...files(native, '.cpp'), ...opFiles('cpu.cpp')]
  const objects = join(out, variant)
  mkdirSync(objects, { recursive: true })
  writeIfNew(join(out, 'variants.json'), JSON.stringify(VARIANTS.map(({ flags: _, ...variant }) => variant))) // devices/cpu chooses by it
  const jobs = sources.map((source) => {
    const object = join(
      objects,
      `${relative(root, source)
        .replace(/[/\\]/g, '-')
        .replace(/\.cpp$/, '')}.o`,
    )
    const own = EXACT.includes(relative(root, source).replaceAll('\\', '/')) ? [...flags, '-ffp-contract=off'] : flags
    const compiled = `${compiler.version} ${flags.slice(0, -2).join(' ')}${own === flags ? '' : ' -ffp-contract=off'}`
    return {
      compiler: compiler.name,
      args: [...own, '-MMD', '-c', '-o', relative(root, object), relative(root, source)],
      source,
      object,
      compiled,
    }
  })
  // the largest first: no long one is left alone at the end
  const stale = jobs
    .filter((job) => !keyOf(job) || readKey(job.object) !== keyOf(job))
    .sort((a, b) => readFileSync(b.source).length - readFileSync(a.source).length)
  const started = Date.now()
  await compileAll(stale, 2)
  const target = libraryPath(variant)
  const key = sha(...jobs.map((job) => readKey(job.object)))
  if (readKey(target) !== key) {
    const temporary = `${target}.${process.pid}.tmp` // a running process keeps its old library
    await run(compiler.name, [...FLAGS, '-shared', ...STATIC, '-o', temporary, ...jobs.map((job) => job.object)])
    renameSync(temporary, target)
    writeFileSync(`${target}.key`, key)
    if (!quiet)
      console.log(
        `${relative(process.cwd(), target)}: ${stale.length} of ${jobs.length} compiled in ${((Date.now() - started) / 1000).toFixed(1)} s`,
      )
  }
  return target
}

async function main(args) {
  const known = ['--all', '--variant', '--quiet']
  const at = args.indexOf('--variant')
  const unknown = args.find((a, i) => !known.includes(a) && !(at >= 0 && i === at + 1))
  if (unknown) throw new Error(`Unknown argument ${unknown}: ${known.join(' ')}.`)
  const candidates = args.includes('--all') ? VARIANTS.filter((v) => v.arch === process.arch) : runnable()
  if (candidates.length === 0) throw new Error('This processor is older than every variant: x86-64-v3 (AVX2, 2013) is the least.')
  const compiler = findCompiler()
  const possible = candidates.filter(({ name, flags }) => {
    const can = at >= 0 || knows(compiler.name, flags)
    if (!can) console.log(`${name} is left out: ${compiler.version} doesn't know ${flags.filter((f) => f.startsWith('-m')).join(' ')}.`)
    return can
  })
  const needed = possible.findIndex((v) => !v.refusable) + 1
  const names = at >= 0 ? [args[at + 1]] : possible.slice(0, args.includes('--all') ? possible.length : needed).map((v) => v.name)
  for (const name of names) await build(name, { quiet: args.includes('--quiet') })
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
