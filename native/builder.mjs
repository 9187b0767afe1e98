// Compiles and links what build.mjs is asked for: an object again when its source, a header that it includes, the flags or the compiler changed.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeAttrs, writeIfNew } from './attrs.mjs'
import { borrowingCompiler, crossCompiler, knows, portableCompiler, systemCompiler } from './compilers.mjs'
import { PLATFORMS, platformOf, platformOfThis } from './platforms.mjs'
import { EMULATED, VARIANTS } from './variants.mjs'

const native = dirname(fileURLToPath(import.meta.url))
const root = dirname(native)
const out = join(native, 'build')

const FLAGS = ['-O3', '-std=c++20', '-fno-math-errno', '-ffp-contract=fast', '-fvisibility=hidden', '-Wall', '-Wextra', '-pthread']
/**
 * x86-64's processors keep decoded instructions by 32 or 64 bytes of code: where a short loop lay across two of them, adamw_8bit took 17 % longer for
 * nothing but a library that had grown before it.
 */
const ALIGNED = ['-falign-functions=32', '-falign-loops=32']
/** code of Windows can lie anywhere by itself */
const flagsOf = ({ os, cpu }) => [...FLAGS, ...(cpu === 'x64' ? ALIGNED : []), ...(os === 'win32' ? [] : ['-fPIC'])]

/** sources whose sums are another program's, float by float: no product is contracted with a sum */
const EXACT = ['native/ggml-blocks.cpp', 'native/ggml-blocks-32.cpp', 'native/ggml-super-blocks.cpp', 'native/low-rank.cpp']

/** the system's headers that most sources include, read once a variant for all but those that say first what they ask of theirs (native/system) */
const PRECOMPILED = 'native/precompiled.hpp'

/** the variants that a platform's package holds */
export const variantsOf = ({ os, cpu }) => VARIANTS.filter((v) => v.arch === cpu && (v.systems ?? [os]).includes(os))

const folderOf = (platform, cross) => (cross ? join(out, platform.name) : out)
function libraryPath(variant, platform, cross) {
  return join(folderOf(platform, cross), `saqr-${variant}.${platform.suffix}`)
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

function run(command, args) {
  return new Promise((done, failed) => {
    // a library of Windows would tell when it was linked
    const env = { ...process.env, SOURCE_DATE_EPOCH: '0' }
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env })
    child.on('error', failed)
    child.on('exit', (code) => (code === 0 ? done() : failed(new Error(`${command} failed (exit ${code}): ${args.at(-1)}`))))
  })
}

/** compilers and linkers at once, of all variants together: one a processor, and a GB of memory for each (attention takes half of it) */
const width = Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / 2 ** 30)))
let running = 0
/** one of them failed: no more is begun */
let failed = false
const waiting = []

/** runs it as soon as fewer than `width` are running, first come first served */
async function inTurn(command, args) {
  if (running === width) await new Promise((turn) => waiting.push(turn))
  else running++
  try {
    if (failed) throw new Error(`not begun, as another failed: ${args.at(-1)}`)
    await run(command, args)
  } catch (error) {
    failed = true
    throw error
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}

/** objects on their way: two variants may have one in common */
const compiling = new Map()

function compile(job) {
  if (!compiling.has(job.object))
    compiling.set(
      job.object,
      inTurn(job.compiler, job.args).then(() => writeFileSync(`${job.object}.key`, keyOf(job))),
    )
  return compiling.get(job.object)
}

const depFile = (object) => object.replace(/\.(o|gch)$/, '.d')

/** Everything a source was compiled from, as the compiler wrote it down (make's syntax, paths below the root); null before the first time. */
function dependencies(object) {
  const path = depFile(object)
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

/** of files, each read once: what changes while it is compiled is compiled again the next time */
const texts = new Map()
function textOf(file) {
  if (!texts.has(file)) texts.set(file, readFileSync(file, 'utf8'))
  return texts.get(file)
}

/** a source with what it includes of saqr's */
function wholeText(file, seen = new Set()) {
  if (seen.has(file)) return ''
  seen.add(file)
  const included = [...textOf(file).matchAll(/^#include "(.*)"/gm)].flatMap(([, name]) =>
    [dirname(file), native, out]
      .map((folder) => join(folder, name))
      .filter(existsSync)
      .slice(0, 1),
  )
  return included.reduce((text, each) => text + wholeText(each, seen), textOf(file))
}

/** what an object is made of; '' where that is not known yet */
function keyOf({ object, compiled }) {
  const list = dependencies(object)
  return list ? sha(compiled, ...list.map(textOf)) : ''
}

const readKey = (path) => (existsSync(path) && existsSync(`${path}.key`) ? readFileSync(`${path}.key`, 'utf8') : '')

/** what sources say that are not the same code in a variant and in the one that it is over */
export const isOfVariant = (text) => /\bSAQR_(TILES|VARIANT)|__AMX|_tile_/.test(text)

const specOf = (variant) => [...VARIANTS, EMULATED].find((v) => v.name === variant)

/** the variant that a source is compiled as, where this one is built: itself, or the one that it is over */
const compiledAs = (spec, source) => (spec.over && !isOfVariant(wholeText(source)) ? spec.over : spec.name)

/** this system's compiler compiles for a checkout and for what is published alike */
const objectsOf = (variant, platform, own) => join(folderOf(platform, !own), variant)
const objectName = (path) => `${path.replaceAll('/', '-').replace(/\.cpp$/, '')}.o`

/**
 * Where the object lies that a variant of a published platform holds of a source.
 * @param path of the source below the root, as native/gemm.cpp
 */
export function objectOf(variant, platform, path) {
  const own = compilesItself(platform) || (borrowsKernels(platform) && !isSystems(path))
  return join(objectsOf(compiledAs(specOf(variant), join(root, path)), platform, own), objectName(path))
}

/** What a folder holds of sources that are gone, or compiled for the variant below since, says nothing of the library any more. */
function dropLeftOvers(folder, jobs) {
  const objects = new Set(jobs.map((job) => job.object))
  for (const object of files(folder, '.o')) {
    if (objects.has(object)) continue
    for (const path of [object, `${object}.key`, depFile(object)]) rmSync(path, { force: true })
  }
}

const isStale = (job) => {
  const key = keyOf(job)
  return !key || readKey(job.object) !== key
}

const isSystems = (path) => dirname(path) === 'native/system'

/** how sources are compiled for a variant: over the system's headers, which are read here where they aren't yet and `kernels` are compiled */
async function readerOf(spec, compiler, cross, kernels = true) {
  const { platform } = compiler
  const flags = [...flagsOf(platform), ...compiler.optionsOf(spec), `-DSAQR_VARIANT="${spec.name}"`, '-Inative', '-Inative/build']
  const objects = objectsOf(spec.name, platform, !cross || compiler.own)
  mkdirSync(objects, { recursive: true })
  const job = (source, object, options, more = '') => {
    const compiled = `${compiler.version} ${flags.slice(0, -2).join(' ')}${more}`
    const list = ['-MMD', '-MF', relative(root, depFile(object)), '-o', relative(root, object), relative(root, source)]
    return { compiler: compiler.command[0], args: [...compiler.command.slice(1), ...flags, ...options, ...list], source, object, compiled }
  }
  const header = join(objects, 'precompiled.hpp')
  if (kernels) writeIfNew(header, textOf(join(root, PRECOMPILED)))
  const headers = job(header, `${header}.gch`, ['-x', 'c++-header'])
  if (kernels && isStale(headers)) await compile(headers)
  return {
    objects,
    job(source) {
      const path = relative(root, source).replaceAll('\\', '/')
      const object = join(objects, objectName(path))
      const exact = EXACT.includes(path) ? ['-ffp-contract=off'] : []
      if (isSystems(path)) return job(source, object, [...exact, '-c'], exact.join())
      return job(source, object, [...exact, '-include', relative(root, header), '-c'], [...exact, readKey(headers.object)].join())
    },
  }
}

/**
 * Builds one variant; returns its library's path.
 * @param compiler of `compilers.mjs`
 */
export async function build(variant, compiler, { quiet = false, cross = false } = {}) {
  const spec = specOf(variant)
  if (!spec) throw new Error(`No variant "${variant}": ${VARIANTS.map((v) => v.name).join(', ')}.`)
  const { platform } = compiler
  const folder = folderOf(platform, cross)
  await writeAttrs(out)
  const system = [platform.os === 'win32' ? 'windows.cpp' : 'posix.cpp', ...compiler.more].map((name) => join(native, 'system', name))
  const sources = [...files(native, '.cpp'), ...system, ...opFiles('cpu.cpp')]
  mkdirSync(folder, { recursive: true })
  // devices/cpu chooses by it
  const listed = variantsOf(platform).map(({ flags: _, zig: __, over: ___, ...variant }) => variant)
  writeIfNew(join(folder, 'variants.json'), JSON.stringify(listed))
  const started = Date.now()
  const readers = async (compiler, kernels) => {
    const own = await readerOf(spec, compiler, cross, kernels)
    return { own, under: spec.over ? await readerOf(specOf(spec.over), compiler, cross, kernels) : own }
  }
  const kernels = await readers(compiler)
  const systems = compiler.system ? await readers(compiler.system, false) : kernels
  const jobs = sources.map((source) => {
    const { own, under } = isSystems(relative(root, source).replaceAll('\\', '/')) ? systems : kernels
    const reader = compiledAs(spec, source) === variant ? own : under
    return { ...reader.job(source), length: wholeText(source).length }
  })
  dropLeftOvers(systems.own.objects, jobs)
  // the largest first, whose kernels are headers: no long one is left alone at the end
  const stale = jobs.filter(isStale).sort((a, b) => b.length - a.length)
  await Promise.all(stale.map(compile))
  const target = libraryPath(variant, platform, cross)
  const key = sha(...compiler.link('', []), ...jobs.map((job) => readKey(job.object)))
  if (readKey(target) !== key) {
    // a running process keeps its old library; a folder of this process's own, for what is linked may carry its file's name
    const temporary = join(folder, `.${variant}.${process.pid}`, `saqr-${variant}.${platform.suffix}`)
    mkdirSync(dirname(temporary), { recursive: true })
    const objects = jobs.map((job) => relative(root, job.object))
    const [command, ...args] = compiler.link(relative(root, temporary), objects)
    await inTurn(command, args)
    renameSync(temporary, target)
    rmSync(dirname(temporary), { recursive: true, force: true })
    writeFileSync(`${target}.key`, key)
    if (!quiet)
      console.log(
        `${relative(process.cwd(), target)}: ${stale.length} of ${jobs.length} compiled in ${((Date.now() - started) / 1000).toFixed(1)} s`,
      )
  }
  return target
}

/** Linux x86-64 is compiled by its own g++, with which its speeds were measured. */
const compilesItself = ({ name }) => name === 'linux-x64' && platformOfThis().name === name

/** Musl's kernels are glibc's, object by object, where those are compiled; only what asks the system is compiled for musl. */
const borrowsKernels = ({ name }) => name === 'linux-x64-musl' && platformOfThis().name === 'linux-x64'

/** Every variant of a platform, as it is published; returns the folder. */
export async function buildPlatform(platform, { quiet = false, variant } = {}) {
  const place = join(out, 'tools')
  const kind = compilesItself(platform) ? portableCompiler : borrowsKernels(platform) ? borrowingCompiler : crossCompiler
  const compiler = kind(platform, place)
  const names = variant ? [variant] : variantsOf(platform).map((v) => v.name)
  await Promise.all(names.map((name) => build(name, compiler, { quiet, cross: true })))
  return folderOf(platform, true)
}

/** Every variant of a platform, or with `all` of all of them at once. */
export async function buildPlatforms({ platform, ...options }) {
  const platforms = platform === 'all' ? PLATFORMS : [platformOf(platform)]
  await Promise.all(platforms.map((each) => buildPlatform(each, options)))
}

/** Every variant of this platform that its own compiler knows, or, without `all`, those that this processor may need; returns the folder. */
export async function buildOwn({ quiet = false, all = false, variant } = {}) {
  const own = platformOfThis()
  const compiler = systemCompiler(own)
  const { runs } = await import('../src/devices/cpu/processor.ts')
  const candidates = variantsOf(own).filter((v) => all || runs(v))
  if (candidates.length === 0) throw new Error('This processor is older than every variant: x86-64-v3 (AVX2, 2013) is the least.')
  const possible = candidates.filter((spec) => {
    const can = variant !== undefined || knows(compiler, spec)
    if (!can)
      console.log(`${spec.name} is left out: ${compiler.version} doesn't know ${spec.flags.filter((f) => f.startsWith('-m')).join(' ')}.`)
    return can
  })
  const needed = possible.findIndex((v) => !v.refusable) + 1
  const names = variant ? [variant] : possible.slice(0, all ? possible.length : needed).map((v) => v.name)
  await Promise.all(names.map((name) => build(name, compiler, { quiet })))
  return folderOf(own, false)
}
