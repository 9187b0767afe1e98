/** How the CPU library is built, and what it does where the system refuses: by the compiler that built it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { platformHere } from '../../src/devices/platforms.ts'

const root = join(import.meta.dirname, '../..')
interface Compiler {
  command: string[]
  link: (library: string, objects: string[]) => string[]
}
// JavaScript, which tools/ready.mjs runs before there is anything else
const { systemCompiler }: { systemCompiler: (platform: object) => Compiler } = await import(join(root, 'native/compilers.mjs'))

interface AsBefore {
  same: boolean
  keep(): void
}
type Asked = { platform?: string; variant?: string; all?: boolean }
const { asBefore }: { asBefore: (asked: Asked, root: string) => AsBefore } = await import(join(root, 'native/as-before.mjs'))

const folder = mkdtempSync(join(tmpdir(), 'saqr-native-'))
afterAll(() => rmSync(folder, { recursive: true }))
const compiler = systemCompiler(platformHere())
const [program, ...options] = compiler.command as [string, ...string[]]
const compile = (...args: string[]) =>
  execFileSync(program, [...options, '-std=c++20', '-pthread', ...args], { stdio: ['ignore', 'inherit', 'inherit'] })

it('a source is compiled for a variant of its own where it says so, in saqr’s words, the compiler’s or the instructions’', () => {
  const of = ['#ifdef SAQR_TILES_EMULATED', 'return SAQR_VARIANT;', '#if defined(__AMX_BF16__)', '_tile_dpbf16ps(0, 4, 6);']
  const not = ['// tiles of 16 rows', '#ifdef __AVX512BF16__']
  const passes = ['src/ops/attention/forward-bf16-cpu', 'src/ops/attention/forward-f32-cpu', 'src/ops/paged-attention/cpu']
  const paths = ['native/gemm-tiles', 'native/gemm-kernel', 'native/system/posix', ...passes]
  const script = `
    import { isOfVariant, objectOf } from './native/builder.mjs'
    import { platformOf } from './native/platforms.mjs'
    const at = (path) => objectOf('x86-64-amx', platformOf('linux-x64-musl'), path).split(/[\\\\/]/).slice(-3).join('/')
    console.log(JSON.stringify([...${JSON.stringify([...of, ...not])}.map(isOfVariant), ...${JSON.stringify(paths)}.map((path) => at(path + '.cpp'))]))`
  // Linux x86-64 compiles its own kernels, which are musl's too
  const kernels = platformHere().name === 'linux-x64' ? 'build' : 'linux-x64-musl'
  // a program of its own: it reads TypeScript by hooks that are not for this process
  expect(JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' }))).toEqual([
    ...of.map(() => true),
    ...not.map(() => false),
    `${kernels}/x86-64-amx/native-gemm-tiles.o`,
    `${kernels}/x86-64-v4-bf16/native-gemm-kernel.o`,
    'linux-x64-musl/x86-64-v4-bf16/native-system-posix.o',
    // attention's passes in f32, and over a cache, know no tiles
    `${kernels}/x86-64-amx/src-ops-attention-forward-bf16-cpu.o`,
    `${kernels}/x86-64-v4-bf16/src-ops-attention-forward-f32-cpu.o`,
    `${kernels}/x86-64-v4-bf16/src-ops-paged-attention-cpu.o`,
  ])
})

it('a clean clone: what ops declare is listed and written; without its packages it is told what to run', () => {
  const clone = join(folder, 'clone')
  for (const path of ['src/ops', 'src/error.ts', 'native/attrs.mjs', 'tools/op-lists.mjs', 'tools/ts.mjs'])
    cpSync(join(root, path), join(clone, path), { recursive: true, filter: (each) => !each.endsWith('generated') })
  const write = () => {
    const script = "await (await import('./native/attrs.mjs')).writeAttrs('out')"
    return spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: clone, encoding: 'utf8' })
  }
  expect(write().stderr).toContain('The packages that a checkout takes are not installed here: `node tools/ready.mjs` installs them')
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'), 'junction')
  const { status, stderr } = write()
  expect(status, stderr).toBe(0)
  expect(readdirSync(join(clone, 'out/attrs'))).toEqual(readdirSync(join(root, 'native/build/attrs')))
})

it.runIf(process.platform === 'linux')("a library that takes a name of the C++ library isn't linked", () => {
  const linked = (name: string, text: string) => {
    const [source, object] = [join(folder, `${name}.cpp`), join(folder, `${name}.o`)]
    writeFileSync(source, text)
    compile('-fPIC', '-c', '-o', object, source)
    const [command, ...args] = compiler.link(join(folder, `${name}.so`), [object]) as [string, ...string[]]
    return spawnSync(command, args, { encoding: 'utf8' })
  }
  expect(linked('plain', '#include <cmath>\ndouble f(double x) { return std::exp(x); }').status).toBe(0)
  const { status, stderr } = linked('takes', 'int* f() { return new int(1); }')
  expect(status).not.toBe(0)
  expect(stderr).toMatch(/undefined reference to .*operator new/)
})

it('threads whose memory the system refuses are never started', () => {
  const path = join(folder, 'refused-memory')
  compile(`-I${join(root, 'native')}`, '-o', path, join(import.meta.dirname, 'refused-memory.cpp'))
  const pool = (refused: number) => JSON.parse(execFileSync(path, [String(refused)], { encoding: 'utf8' })) as unknown
  expect(pool(0)).toEqual({ whole: true, asked: 5, kept: 0, threads: 3 })
  // what they share, the first one's own, the third's
  for (const refused of [1, 2, 4]) expect(pool(refused)).toEqual({ whole: false, asked: refused, kept: 0, threads: 0 })
})

it('instructions that a processor names are left alone where the system keeps no registers of them, or none stand behind them', () => {
  const path = join(folder, 'features')
  compile(`-I${join(root, 'native')}`, '-o', path, join(import.meta.dirname, 'features.cpp'))
  // a Sapphire Rapids under Linux
  const xeon = { leaf1c: 0x7ffefbff, leaf7b: 0xf1bf2ffb, leaf7d: 0xffdd4432, leaf71a: 0x1c30, palettes: 1, kept: 0x602e7 }
  const AVX2 = [0, 0, 0]
  const AVX512 = [1, 0, 0]
  const BF16 = [1, 1, 0]
  const TILES = [1, 1, 1]
  const missing = (has: Partial<typeof xeon>, needs: number[]) =>
    execFileSync(path, [...Object.values({ ...xeon, ...has }), ...needs].map(String), { encoding: 'utf8' }).trim()
  for (const needs of [AVX2, AVX512, BF16, TILES]) expect(missing({}, needs)).toBe('')
  expect(missing({ kept: 0x7 }, AVX2)).toBe('')
  expect(missing({ kept: 0x7 }, AVX512)).toBe('the system keeps no registers of AVX-512')
  expect(missing({ kept: 0x3 }, AVX2)).toBe('the system keeps no registers of AVX2')
  expect(missing({ kept: 0xe7 }, BF16)).toBe('')
  expect(missing({ kept: 0xe7 }, TILES)).toBe('the system keeps no registers of tiles')
  expect(missing({ palettes: 0 }, TILES)).toBe('the processor names tiles, but no palette of them')
  expect(missing({ palettes: 0 }, BF16)).toBe('')
  expect(missing({ leaf7d: 0 }, TILES)).toBe('the processor has no tiles of bf16')
  expect(missing({ leaf71a: 0 }, BF16)).toBe('the processor has no AVX-512 of bf16')
  expect(missing({ leaf7b: xeon.leaf7b & ~(1 << 16) }, AVX512)).toBe('the processor has not all of AVX-512')
  expect(missing({ leaf1c: 0 }, AVX2)).toBe('the processor has no AVX2')
})

it('what was built is as before until a source, a library or what is asked for is another', () => {
  const root = join(folder, 'checkout')
  const write = (path: string, text: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  for (const path of ['native/a.cpp', 'src/ops/add/op.ts', 'src/devices/platforms.ts', 'src/devices/cpu/processor.ts', 'tools/ts.mjs'])
    write(path, '')
  const asked = { platform: 'linux-arm64' }
  const built = () => {
    write('native/build/linux-arm64/saqr-arm64.so', 'library')
    asBefore(asked, root).keep()
    return asBefore(asked, root).same
  }
  expect(asBefore(asked, root).same).toBe(false)
  expect(built()).toBe(true)
  expect(asBefore({}, root).same).toBe(false)
  expect(asBefore({ ...asked, variant: 'arm64' }, root).same).toBe(false)

  write('native/a.cpp', '1')
  expect(asBefore(asked, root).same).toBe(false)
  expect(built()).toBe(true)
  utimesSync(join(root, 'src/ops/add/op.ts'), 1, 1)
  expect(asBefore(asked, root).same).toBe(false)
  expect(built()).toBe(true)
  write('native/new.hpp', '')
  expect(asBefore(asked, root).same).toBe(false)

  expect(built()).toBe(true)
  write('native/build/saqr-x86-64-v3.so', 'not of that platform')
  expect(asBefore(asked, root).same).toBe(true)
  // an editor's lock, a link to nowhere
  symlinkSync('someone@somewhere.1', join(root, 'src/ops/add/.#op.ts'))
  expect(asBefore(asked, root).same).toBe(true)
  for (const lost of ['saqr-arm64.so', 'variants.json']) {
    write('native/build/linux-arm64/variants.json', '[]')
    expect(built()).toBe(true)
    rmSync(join(root, 'native/build/linux-arm64', lost))
    expect(asBefore(asked, root).same).toBe(false)
  }

  // what changes while it is built
  const building = asBefore(asked, root)
  write('native/a.cpp', '12')
  building.keep()
  expect(asBefore(asked, root).same).toBe(false)
})
