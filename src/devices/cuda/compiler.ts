/** CUDA C++ to machine code for one card with NVRTC, kept on disk by the hash of source, options and compiler. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SaqrError } from '../../error.ts'
import { attrsHeader, type CudaSource } from '../../ops/cuda-launch.ts'
import { ops } from '../../ops/generated/ops.ts'
import { callAsync, type ForeignFunction, ffi, type Library } from '../ffi.ts'
import { KernelCache } from './kernel-cache.ts'
import { builtinsName, openLibrary } from './libraries.ts'

const FUNCTIONS = {
  version: 'int nvrtcVersion(void* major, void* minor)',
  targets: 'int nvrtcGetNumSupportedArchs(void* count)',
  targetList: 'int nvrtcGetSupportedArchs(void* archs)',
  create:
    'int nvrtcCreateProgram(void* program, const char* source, const char* name, int headers, const char** texts, const char** names)',
  compile: 'int nvrtcCompileProgram(uint64_t program, int count, const char** options)',
  logSize: 'int nvrtcGetProgramLogSize(uint64_t program, void* size)',
  log: 'int nvrtcGetProgramLog(uint64_t program, void* log)',
  cubinSize: 'int nvrtcGetCUBINSize(uint64_t program, void* size)',
  cubin: 'int nvrtcGetCUBIN(uint64_t program, void* cubin)',
  destroy: 'int nvrtcDestroyProgram(void* program)',
  errorText: 'const char* nvrtcGetErrorString(int error)',
} as const

/** Hopper's and Blackwell's own instructions need the architecture-specific target. */
export function targetOf(arch: number): string {
  return `sm_${arch}${arch >= 90 && arch % 10 === 0 ? 'a' : ''}`
}

export interface CudaText {
  name: string
  source: string
  /** by the name they are included with */
  headers: { name: string; text: string }[]
}

/** A source with its headers: those that ops share, those beside it, and what the ops declare. */
export function readSource({ name, url }: CudaSource): CudaText {
  const file = fileURLToPath(url)
  const here = dirname(file)
  const headers = ['../', ''].flatMap((folder) =>
    readdirSync(join(here, folder))
      .filter((file) => file.endsWith('.cuh'))
      .map((file) => ({ name: folder + file, text: readFileSync(join(here, folder, file), 'utf8') })),
  )
  headers.push({ name: 'attrs.cuh', text: attrsHeader(ops) })
  return { name, source: readFileSync(file, 'utf8'), headers }
}

export interface CompilerOptions {
  /** newest major version of CUDA that the driver takes */
  newest?: number
  /** compute capability that it has to compile for: 90 */
  arch?: number
  /** folder of the compiled kernels; default: the user's */
  cache?: string
  /** NVRTC's, beside the target and the language */
  options?: readonly string[]
}

type Functions = Record<keyof typeof FUNCTIONS, ForeignFunction>

const functionsOf = (library: Library) =>
  Object.fromEntries(Object.entries(FUNCTIONS).map(([key, signature]) => [key, library.func(signature)])) as Functions

function versionOf(f: Functions): { major: number; minor: number } {
  const [major, minor] = [new Int32Array(1), new Int32Array(1)]
  f.version(major, minor)
  return { major: major[0]!, minor: minor[0]! }
}

/** Why an NVRTC compiles nothing for the card: a toolkit older than it, or a copy without the headers it has built in. */
function unfitFor(arch: number | undefined): (library: Library) => string | null {
  return (library) => {
    const f = functionsOf(library)
    const { major, minor } = versionOf(f)
    const count = new Int32Array(1)
    f.targets(count)
    const archs = new Int32Array(count[0]!)
    f.targetList(archs)
    if (arch !== undefined && !archs.includes(arch)) return `is of CUDA ${major}.${minor} and knows no sm_${arch}`
    const builtins = builtinsName(major, minor)
    try {
      ffi().load(builtins)
      return null
    } catch {
      return `lacks ${builtins}, which belongs beside it`
    }
  }
}

export class Compiler {
  readonly path: string
  /** of NVRTC: '13.0' */
  readonly version: string
  readonly cache: KernelCache
  readonly #f: Functions
  readonly #options: readonly string[]

  /** @throws SaqrError DEVICE_CUDA_LIBRARY where none is found that compiles for the card */
  constructor({ newest, arch, cache, options = [] }: CompilerOptions = {}) {
    const { library, path } = openLibrary('nvrtc', newest, unfitFor(arch))
    this.path = path
    this.cache = new KernelCache(cache)
    this.#options = options
    this.#f = functionsOf(library)
    const { major, minor } = versionOf(this.#f)
    this.version = `${major}.${minor}`
  }

  /** Machine code for `target` (sm_90a …), from the cache where it is there. */
  async cubin(text: CudaText, target: string): Promise<Uint8Array> {
    const options = [`--gpu-architecture=${target}`, '--std=c++17', ...this.#options]
    const key = createHash('sha256')
      .update(JSON.stringify([text, options, this.version]))
      .digest('hex')
    const name = `${text.name.replace(/\W/g, '-')}-${target}-${key.slice(0, 24)}.cubin`
    const kept = this.cache.read(name)
    if (kept) return kept
    const code = await this.#compile(text, options)
    this.cache.write(name, code)
    return code
  }

  async #compile(text: CudaText, options: string[]): Promise<Uint8Array> {
    const { headers } = text
    const program = new BigUint64Array(1)
    const created = this.#f.create(
      program,
      text.source,
      text.name,
      headers.length,
      headers.map((h) => h.text),
      headers.map((h) => h.name),
    )
    this.#check('create', created as number)
    try {
      const status = (await callAsync(this.#f.compile, program[0]!, options.length, options)) as number
      if (status !== 0)
        throw new SaqrError('DEVICE_CUDA_COMPILE', `NVRTC ${this.version} refuses ${text.name} (${options[0]}):\n${this.#log(program[0]!)}`)
      return this.#read(program[0]!, 'cubinSize', 'cubin')
    } finally {
      this.#f.destroy(program)
    }
  }

  #log(program: bigint): string {
    return new TextDecoder().decode(this.#read(program, 'logSize', 'log')).replace(/\0$/, '')
  }

  #read(program: bigint, size: 'logSize' | 'cubinSize', what: 'log' | 'cubin'): Uint8Array {
    const bytes = new BigUint64Array(1)
    this.#check(size, this.#f[size](program, bytes) as number)
    const out = new Uint8Array(Number(bytes[0]))
    this.#check(what, this.#f[what](program, out) as number)
    return out
  }

  #check(what: keyof typeof FUNCTIONS, status: number): void {
    if (status !== 0) throw new SaqrError('DEVICE_CUDA_COMPILE', `NVRTC (${this.path}), ${what}: ${this.#f.errorText(status) as string}`)
  }
}
