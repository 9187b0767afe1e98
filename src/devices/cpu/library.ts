/** The native library: found, the best variant for this processor chosen, its functions bound. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SaqrError } from '../../error.ts'
import { makeTablesBy } from '../../formats/text-tables.ts'
import { version } from '../../hub/version.ts'
import { abiOf } from '../../ops/attrs.ts'
import { ops } from '../../ops/generated/ops.ts'
import { type ForeignFunction, ffi, type Library } from '../ffi.ts'
import { exportsOf, missingPackage, packageFile, remedyFor } from '../packages.ts'
import { PLATFORMS, type Platform, platformHere } from '../platforms.ts'
import { runs, type Variant } from './processor.ts'
import { tablesBy } from './text-tables.ts'

/** what the library's kernels must have been built for */
const ABI = abiOf(ops)

/** what is called of it, in C */
export const FUNCTIONS = {
  abi: 'int saqr_abi()',
  variant: 'const char* saqr_variant()',
  refusal: 'const char* saqr_refusal()',
  kernel: 'int saqr_kernel(const char* name)',
  quickInBlocks: 'int saqr_quick_in_blocks(int dtype)',
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
  unrotate: 'void saqr_unrotate(const void* stored, void* out, int64_t bytes, int64_t lines, int64_t line, int64_t from)',
  addLowRank:
    'void saqr_add_low_rank(void* w, const void* b, const void* a, double scale, int64_t rows, int64_t cols, int64_t rank, int threads)',
  digest: 'void saqr_digest(const void* bytes, uint64_t count, void* out)',
  textSlots:
    'int64_t saqr_text_slots(const void* bytes, const void* starts, int64_t gap, int64_t count, void* slots, int64_t room, void* repeated)',
  mergeIds:
    'int64_t saqr_merge_ids(const void* bytes, const void* starts, int64_t gap, const void* slots, int64_t room, const void* ids, const void* merges, const void* mergeStarts, int64_t mergeGap, int64_t count, int pairs, void* out)',
  notTwo: 'int64_t saqr_not_two(const void* bytes, const void* starts, int64_t gap, int64_t count)',
  pairSlots: 'void saqr_pair_slots(const void* ids, int64_t count, void* slots, int64_t room)',
  probeFma: 'double saqr_probe_fma(void* pool, int kind)',
  probeCopy: 'double saqr_probe_copy(void* pool)',
  probeRead: 'double saqr_probe_read(void* pool)',
} as const

export type Native = Record<keyof typeof FUNCTIONS, ForeignFunction>

/** the library, and better variants that this process may not run, with the reasons ('' without) */
export interface Chosen {
  native: Native
  leftOut: string
}

/**
 * Folders that may hold the library: the platform's package, then a checkout's own build.
 * @throws SaqrError DEVICE_CPU_LIBRARY where the package is of another version of saqr
 */
function folders({ name }: Platform): string[] {
  const list = [join(dirname(fileURLToPath(import.meta.url)), '../../../native/build')]
  const installed = packageFile(`@saqr/${name}`, 'package.json')
  if (installed) {
    const { version: its } = JSON.parse(readFileSync(installed, 'utf8')) as { version: string }
    if (its !== version()) throw ofAnotherVersion(`@saqr/${name} is version ${its}`, name)
    list.unshift(folderOf(name))
  }
  return list.filter((folder) => existsSync(join(folder, 'variants.json')))
}

/** as the package itself says (tools/pack.mjs) */
function folderOf(name: string): string {
  try {
    return (exportsOf('saqr', name) as { folder: string }).folder
  } catch (cause) {
    throw new SaqrError('DEVICE_CPU_LIBRARY', `@saqr/${name} can't be read (${(cause as Error).message.split('\n')[0]}), ${AGAIN}`, {
      cause,
    })
  }
}

/** @param what is beside this saqr */
export function ofAnotherVersion(what: string, name: string): SaqrError {
  const package_ = `@saqr/${name}@${version()}`
  return new SaqrError(
    'DEVICE_CPU_LIBRARY',
    `${what}, saqr is version ${version()}, and both have to be of one: run \`npm install ${package_}\` (a lock file or "overrides" may hold the other); in a checkout \`node tools/ready.mjs\``,
  )
}

/** Those of the platform, best first. `bytes`: of a package's library, which a full disk may have cut */
function variantsIn(folder: string): (Variant & { bytes?: number })[] {
  return JSON.parse(readFileSync(join(folder, 'variants.json'), 'utf8'))
}

const AGAIN = 'so what was installed is not whole: delete node_modules and run `npm install`; in a checkout run `node tools/ready.mjs`'

/** Opened, it would end the process where its file ends. @throws SaqrError DEVICE_CPU_LIBRARY */
export function checkWhole(path: string, bytes: number | undefined): void {
  const { size } = statSync(path)
  if (bytes !== undefined && size !== bytes)
    throw new SaqrError('DEVICE_CPU_LIBRARY', `${path} has ${size} bytes where the package says ${bytes}, ${AGAIN}`)
}

const open = new Map<string, Native>()
/** by the variant asked for: finding it takes longer than a small tensor's blocks */
const chosen = new Map<string | undefined, Chosen>()

/** @throws SaqrError DEVICE_CPU_LIBRARY when there is none for this processor, DEVICE_PLATFORM where there is none for the system */
export function nativeLibrary(variant?: string): Chosen {
  let found = chosen.get(variant)
  if (!found) {
    chosen.set(variant, (found = choose(variant)))
    makeTablesBy(tablesBy(found.native))
  }
  return found
}

function choose(variant?: string): Chosen {
  const platform = platformHere()
  const refused: string[] = []
  const absent: string[] = []
  const found = folders(platform)
  for (const folder of found) {
    const listed = variantsIn(folder)
    for (const name of variant ? [variant] : listed.filter((v) => runs(v)).map((v) => v.name)) {
      const path = join(folder, `saqr-${name}.${platform.suffix}`)
      if (!existsSync(path)) {
        absent.push(path)
        continue
      }
      checkWhole(path, listed.find((v) => v.name === name)?.bytes)
      const native = bind(path, platform)
      const why = native.refusal() as string | null
      if (!why) return { native, leftOut: refused.join(', ') }
      refused.push(`${name} left out: ${why}`)
    }
  }
  const say = (message: string) => new SaqrError('DEVICE_CPU_LIBRARY', message)
  if (variant && refused.length > 0) throw say(`${refused[0]}; leave the variant out to take the next best`)
  if (variant) throw say(`no variant ${variant} of the CPU library: in a checkout run \`node native/build.mjs --variant ${variant}\``)
  if (absent.length > 0 && refused.length === 0) throw say(`${absent[0]} is missing, ${AGAIN}`)
  if (found.length > 0) {
    const why = refused.length > 0 ? `: ${refused.join(', ')}` : ''
    throw say(
      `this processor runs none of saqr's kernels${why}. ${platform.cpu === 'x64' ? 'An x86-64 processor has to have AVX2 (Intel and AMD, 2013 and later); where it is emulated on arm64 (Rosetta, --platform linux/amd64), take Node, or the image, for arm64.' : ''}`.trim(),
    )
  }
  throw missingPackage('DEVICE_CPU_LIBRARY', {
    name: `@saqr/${platform.name}`,
    version: version(),
    what: `the CPU library for ${platform.title}`,
    others: PLATFORMS.map((other) => `@saqr/${other.name}`),
  })
}

function bind(path: string, platform: Platform): Native {
  let native = open.get(path)
  if (native) return native
  const library = load(path, platform)
  const other = () => ofAnotherVersion(`${path} was built for another version of saqr`, platform.name)
  // first: a library of another version may lack any other function
  if (library.func(FUNCTIONS.abi)() !== ABI) throw other()
  try {
    native = Object.fromEntries(Object.entries(FUNCTIONS).map(([key, signature]) => [key, library.func(signature)])) as Native
  } catch {
    throw other() // of the same operations, but built before one of the other functions was there
  }
  open.set(path, native)
  return native
}

function load(path: string, platform: Platform): Library {
  try {
    return ffi().load(path)
  } catch (cause) {
    throw cause instanceof SaqrError ? cause : notLoaded(path, platform, cause as Error)
  }
}

/** What the system's loader said, and what to do. */
export function notLoaded(path: string, { title }: Platform, cause: Error): SaqrError {
  const [, wanted] = /GLIBC_([\d.]+)/.exec(cause.message) ?? []
  const oldMusl = cause.message.startsWith('Error relocating')
  const [, built] = /built for (?:macOS|Mac OS X) ([\d.]+)/.exec(cause.message) ?? []
  const text = wanted
    ? `this system's glibc is too old: the library for ${title} wants ${wanted}. Use a newer system or container image.`
    : built
      ? `this macOS is too old: the library for ${title} is built for ${built}. Use a newer macOS.`
      : oldMusl
        ? `this system's musl is too old (${cause.message}). Use a newer system or container image.`
        : `${path} can't be opened (${cause.message}). ${remedyFor(cause.message) || `It is built for ${title}, ${AGAIN}`}`
  return new SaqrError('DEVICE_CPU_LIBRARY', text, { cause })
}
