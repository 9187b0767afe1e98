/** Which NVRTC compiles for a card, and what is kept of what it compiled. NVRTC is made up, so that every version can be had. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Compiler, type CudaText } from '../../src/devices/cuda/compiler.ts'
import { KernelCache } from '../../src/devices/cuda/kernel-cache.ts'
import { openLibrary } from '../../src/devices/cuda/libraries.ts'
import { ffi } from '../../src/devices/ffi.ts'
import { buildLibrary } from './cxx.ts'

const root = mkdtempSync(join(tmpdir(), 'saqr-nvrtc-'))
afterAll(() => rmSync(root, { recursive: true }))
/** A folder with an NVRTC of CUDA 13.`minor` that knows these cards, and, where asked for, the headers that it has built in. */
function toolkit(name: string, minor: number, archs: number[], builtins = true): string {
  const folder = join(root, name, 'lib64')
  mkdirSync(folder, { recursive: true })
  const define = [`-DARCHS=${archs.join(',')}`, '-DMAJOR=13', `-DMINOR=${minor}`]
  buildLibrary(join(folder, 'libnvrtc.so.13'), ...define, 'fake-nvrtc.cpp')
  const file = `libnvrtc-builtins.so.13.${minor}`
  if (builtins) buildLibrary(join(folder, file), `-Wl,-soname,${file}`, '-x', 'c++', '/dev/null')
  return join(root, name)
}

// what is found by name alone, or in this machine's own folders, comes behind what these variables name
beforeEach(() => {
  vi.stubEnv('PATH', '/nowhere')
  for (const name of ['CUDA_HOME', 'CUDA_PATH', 'VIRTUAL_ENV', 'CONDA_PREFIX']) vi.stubEnv(name, undefined)
  vi.stubEnv('XDG_CACHE_HOME', join(root, 'cache'))
})
afterEach(() => vi.unstubAllEnvs())

const refused = (message: RegExp) => expect.objectContaining({ code: 'DEVICE_CUDA_LIBRARY', message: expect.stringMatching(message) })

describe.runIf(process.platform === 'linux')('the NVRTC that is taken', () => {
  it('is the first that knows the card: a toolkit older than the card is passed over, also where CUDA_HOME names it', () => {
    const [old, recent] = [toolkit('old', 91, [75, 80, 90]), toolkit('recent', 92, [75, 80, 90, 999])]
    vi.stubEnv('CUDA_HOME', old)
    vi.stubEnv('CUDA_PATH', recent)
    expect(new Compiler({ arch: 90 }).path).toBe(join(old, 'lib64/libnvrtc.so.13'))
    const { path, version } = new Compiler({ arch: 999 })
    expect([path, version]).toEqual([join(recent, 'lib64/libnvrtc.so.13'), '13.92'])
    vi.stubEnv('CUDA_PATH', undefined)
    expect(() => new Compiler({ arch: 999 })).toThrow(
      refused(/old\/lib64\/libnvrtc\.so\.13 is of CUDA 13\.91 and knows no sm_999.*--install-cuda/),
    )
  })

  it('has the headers that it has built in beside it', () => {
    const lone = toolkit('lone', 93, [999], false)
    vi.stubEnv('CUDA_HOME', lone)
    expect(() => new Compiler({ arch: 999 })).toThrow(refused(/lone\/lib64\/libnvrtc\.so\.13 lacks libnvrtc-builtins\.so\.13\.93/))
  })

  it('lies in conda’s environments too, as its own packages put it', () => {
    const conda = toolkit('conda', 94, [999])
    vi.stubEnv('CONDA_PREFIX', conda)
    expect(new Compiler({ arch: 999 }).path).toBe(join(conda, 'lib64/libnvrtc.so.13'))
  })

  it('may be one that the loader finds by its name alone: why it is not taken is said of it too', () => {
    const folder = toolkit('named', 96, [90])
    const path = join(folder, 'lib64/by-name.so')
    buildLibrary(path, '-DARCHS=90', '-DMAJOR=13', '-DMINOR=96', '-Wl,-soname,libnvrtc.so.13', 'fake-nvrtc.cpp')
    ffi().load(path) // from now on the loader knows that name
    expect(() => new Compiler({ arch: 998 })).toThrow(refused(/\(.*libnvrtc\.so\.13 is of CUDA 13\.\d+ and knows no sm_998/))
  })

  it('is none that can’t be loaded, and that is said of it', () => {
    const broken = join(root, 'broken', 'lib64')
    mkdirSync(broken, { recursive: true })
    writeFileSync(join(broken, 'libnvrtc.so.13'), 'half of a download')
    vi.stubEnv('CUDA_HOME', join(root, 'broken'))
    expect(() => new Compiler({ arch: 999 })).toThrow(refused(/broken\/lib64\/libnvrtc\.so\.13 can't be loaded: .*(invalid ELF|too short)/))
    expect(() => openLibrary('nvrtc', 13, () => 'is of no use')).toThrow(refused(/Found no libnvrtc\.so\.13 that can be used/))
  })
})

describe.runIf(process.platform === 'linux')('compiled kernels', () => {
  const text: CudaText = { name: 'a/b.cu', source: 'kernel', headers: [] }
  const code = Buffer.from('code for the card\0')
  const compiler = (cache: string) => {
    vi.stubEnv('CUDA_HOME', toolkit('any', 95, [90]))
    return new Compiler({ arch: 90, cache })
  }

  it.each<[string, (whole: Buffer) => Buffer]>([
    ['cut off', (whole) => whole.subarray(0, 10)],
    ['cut off in its hash', (whole) => whole.subarray(0, -1)],
    ['empty', () => Buffer.alloc(0)],
    ['of another bit', (whole) => Buffer.from(whole.map((byte, i) => (i === 3 ? byte ^ 1 : byte)))],
    ['code without a hash, as it was kept before', () => code],
    ['zeros, as a power cut leaves it', (whole) => Buffer.alloc(whole.length)],
  ])('one that is %s is compiled anew, and kept', async (_, damage) => {
    const folder = mkdtempSync(join(root, 'kernels-'))
    const one = compiler(folder)
    expect(await one.cubin(text, 'sm_90a')).toEqual(new Uint8Array(code))
    const [name] = readdirSync(folder)
    const file = join(folder, name!)
    const whole = readFileSync(file)
    expect(whole.subarray(0, -32)).toEqual(code)
    writeFileSync(file, damage(whole))
    expect(Buffer.from(await one.cubin(text, 'sm_90a'))).toEqual(code)
    expect(readFileSync(file)).toEqual(whole)
    expect(readdirSync(folder)).toEqual([name])
  })

  it('one that is whole is taken as it is', async () => {
    const folder = mkdtempSync(join(root, 'kernels-'))
    const one = compiler(folder)
    await one.cubin(text, 'sm_90a')
    new KernelCache(folder).write(readdirSync(folder)[0]!, Buffer.from('kept'))
    expect(Buffer.from(await one.cubin(text, 'sm_90a')).toString()).toBe('kept')
  })

  it('several at once leave one, and nothing beside it', async () => {
    const folder = mkdtempSync(join(root, 'kernels-'))
    const [one, other] = [compiler(folder), compiler(folder)]
    const all = await Promise.all([one, other, one, other].map((c) => c.cubin(text, 'sm_90a')))
    for (const made of all) expect(Buffer.from(made)).toEqual(code)
    expect(readdirSync(folder)).toHaveLength(1)
  })

  it.each([
    ['a folder that can’t be made', () => '/proc/none'],
    ['a file in its place', () => join(root, 'file')],
  ])('with %s are made each time, and doctor says why', async (_, folder) => {
    writeFileSync(join(root, 'file'), '')
    const one = compiler(folder())
    for (let i = 0; i < 2; i++) expect(Buffer.from(await one.cubin(text, 'sm_90a'))).toEqual(code)
    expect(() => one.cache.check()).toThrow(expect.objectContaining({ code: expect.stringMatching(/^FORMAT_/) }))
  })
})
