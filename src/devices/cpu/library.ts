/** The native library: found, the best variant for this processor chosen, its functions bound. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SaqrError } from '../../error.ts'
import { abiOf } from '../../ops/attrs.ts'
import { ops } from '../../ops/generated/ops.ts'
import { type ForeignFunction, ffi } from '../ffi.ts'

interface Variant {
  name: string
  arch: string
  /** flags of /proc/cpuinfo that it takes */
  needs: string[]
  /** vendor whose processors run it slower than the next variant */
  slowOn?: string
  /** where else than on this system it doesn't run */
  system?: string
}

/** what the library's kernels must have been built for */
const ABI = abiOf(ops)

const FUNCTIONS = {
  abi: 'int saqr_abi()',
  variant: 'const char* saqr_variant()',
  refusal: 'const char* saqr_refusal()',
  kernel: 'int saqr_kernel(const char* name)',
  lastError: 'const char* saqr_last_error()',
  poolCreate: 'void* saqr_pool_create(int threads)',
  poolDestroy: 'void saqr_pool_destroy(void* pool)',
  alloc: 'void* saqr_alloc(uint64_t bytes)',
  free: 'void saqr_free(void* address, uint64_t bytes)',
  touch: 'void saqr_touch(void* address, uint64_t bytes, int threads)',
  mapFile: 'void* saqr_map_file(const char* path, uint64_t* bytes)',
  unmap: 'void saqr_unmap(void* address, uint64_t bytes)',
  copy: 'void saqr_copy(void* to, const void* from, uint64_t bytes)',
  zero: 'void saqr_zero(void* to, uint64_t bytes)',
  resident: 'uint64_t saqr_resident(const void* address, uint64_t bytes)',
  poolError: 'const char* saqr_pool_error(void* pool)',
  planLoad: 'void* saqr_plan_load(const void* description, uint64_t bytes)',
  planFree: 'void saqr_plan_free(void* plan)',
  run: 'int saqr_run(void* pool, const void* items, int count, void* control)',
  quantiseNf4:
    'int64_t saqr_quantise_nf4(const void* values, int isBf16, int64_t n, const void* bounds, void* packed, void* absmax, int threads)',
  quantise8Bit:
    'void saqr_quantise_8bit(const void* values, float offset, int64_t n, const void* middles, void* codes, void* absmax, int threads)',
  quantiseGgml: 'int64_t saqr_quantise_ggml(const void* values, int64_t n, int type, void* out, int threads)',
  valuesOfGgml: 'int saqr_values_of_ggml(const void* blocks, int64_t n, int type, int toBf16, void* out, int threads)',
  probeFma: 'double saqr_probe_fma(void* pool, int kind)',
  probeCopy: 'double saqr_probe_copy(void* pool)',
} as const

export type Native = Record<keyof typeof FUNCTIONS, ForeignFunction>

/** the library, and better variants that this process may not run, with the reasons ('' without) */
export interface Chosen {
  native: Native
  leftOut: string
}

/** Folders that may hold the library: the platform's package, then a checkout's own build. */
function folders(): string[] {
  const name = `@saqr/${process.platform}-${process.arch}`
  const list: string[] = []
  try {
    list.push(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)))
  } catch {
    // not installed: a source checkout builds its own
  }
  list.push(join(dirname(fileURLToPath(import.meta.url)), '../../../native/build'))
  return list.filter((folder) => existsSync(join(folder, 'variants.json')))
}

/** Names of the variants this processor runs, best first. */
function runnable(folder: string): string[] {
  const variants = JSON.parse(readFileSync(join(folder, 'variants.json'), 'utf8')) as Variant[]
  const cpuinfo = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const flags = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/)
  const vendor = /^vendor_id\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim()
  const has = new Set(flags)
  const fits = (v: Variant) => !flags || (v.needs.every((f) => has.has(f)) && (!v.slowOn || v.slowOn !== vendor))
  const system = (v: Variant) => (v.system ?? process.platform) === process.platform
  return variants.filter((v) => v.arch === process.arch && system(v) && fits(v)).map((v) => v.name)
}

const open = new Map<string, Native>()

/** @throws SaqrError DEVICE_CPU_LIBRARY when there is none for this processor */
export function nativeLibrary(variant?: string): Chosen {
  const suffix = process.platform === 'darwin' ? 'dylib' : 'so'
  const refused: string[] = []
  for (const folder of folders()) {
    for (const name of variant ? [variant] : runnable(folder)) {
      const path = join(folder, `saqr-${name}.${suffix}`)
      if (!existsSync(path)) continue
      const native = bind(path)
      const why = native.refusal() as string | null
      if (!why) return { native, leftOut: refused.join(', ') }
      refused.push(`${name} left out: ${why}`)
    }
  }
  if (variant && refused.length > 0) throw new SaqrError('DEVICE_CPU_LIBRARY', `${refused[0]}; leave the variant out to take the next best`)
  const wanted = variant ? `variant ${variant} of the CPU library` : 'CPU library for this processor'
  const others = refused.length > 0 ? ` (${refused.join(', ')})` : ''
  throw new SaqrError(
    'DEVICE_CPU_LIBRARY',
    `no ${wanted}${others}: install @saqr/${process.platform}-${process.arch}, or in a checkout run \`node native/build.mjs\``,
  )
}

function bind(path: string): Native {
  let native = open.get(path)
  if (native) return native
  const library = ffi().load(path)
  native = Object.fromEntries(Object.entries(FUNCTIONS).map(([key, signature]) => [key, library.func(signature)])) as Native
  if (native.abi() !== ABI)
    throw new SaqrError(
      'DEVICE_CPU_LIBRARY',
      `${path} is of another version of saqr: install both packages alike, or in a checkout run \`node tools/ready.mjs\``,
    )
  open.set(path, native)
  return native
}
