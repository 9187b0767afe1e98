/** What this processor has, by the names of Linux's /proc/cpuinfo, asked in each system's own way. */
import { readFileSync } from 'node:fs'
import { ffi } from '../ffi.ts'

/** A library of native/variants.mjs. */
export interface Variant {
  name: string
  /** features it takes */
  needs: string[]
  /** vendor whose processors run it slower than the next variant */
  slowOn?: string
}

interface Processor {
  /** undefined: the system doesn't say, and the library asks the processor itself when it is opened (native/processor.cpp) */
  has(feature: string): boolean | undefined
  vendor: string | undefined
}

/** Is it for this processor? Where the system doesn't say all, what it says decides. */
export function runs({ needs, slowOn }: Variant, { has, vendor } = processor()): boolean {
  return needs.every((feature) => has(feature) !== false) && (slowOn === undefined || slowOn !== vendor)
}

let known: Processor | undefined

function processor(): Processor {
  return (known ??= process.platform === 'linux' ? onLinux() : process.platform === 'darwin' ? onMac() : onWindows())
}

/** @param read a file, null where there is none */
export function onLinux(read = fileOf, arch: string = process.arch): Processor {
  if (arch === 'arm64') {
    const bits = auxiliary(read('/proc/self/auxv'))
    return { has: (feature) => feature in HWCAP2 && (bits & HWCAP2[feature]!) !== 0n, vendor: undefined }
  }
  const text = read('/proc/cpuinfo')?.toString('latin1')
  const line = (name: string) => new RegExp(`^${name}\\s*:(.*)$`, 'm').exec(text ?? '')?.[1]?.trim()
  const said = line('flags')
  if (!said) return { has: () => undefined, vendor: line('vendor_id') } // a sandbox may show no file of it, or an empty one
  const flags = new Set(said.split(/\s+/))
  return { has: (feature) => flags.has(feature), vendor: line('vendor_id') }
}

/** asm/hwcap.h of arm64 */
const HWCAP2: Readonly<Record<string, bigint>> = { bf16: 1n << 14n }
const AT_HWCAP2 = 26n

/** AT_HWCAP2 of the pairs of words that the kernel gives a process */
function auxiliary(pairs: Buffer | null): bigint {
  for (let at = 0; pairs && at + 16 <= pairs.length; at += 16)
    if (pairs.readBigUInt64LE(at) === AT_HWCAP2) return pairs.readBigUInt64LE(at + 8)
  return 0n
}

/** @param sysctl values of these names, in lines; those that are unknown are left out */
export function onMac(sysctl = askSysctl, arch: string = process.arch): Processor {
  if (arch === 'arm64') {
    const has = sysctl('hw.optional.arm.FEAT_BF16').trim() === '1'
    return { has: (feature) => feature === 'bf16' && has, vendor: undefined }
  }
  const names = new Set(sysctl('machdep.cpu.features', 'machdep.cpu.leaf7_features').toLowerCase().split(/\s+/))
  return { has: (feature) => names.has(feature), vendor: sysctl('machdep.cpu.vendor').trim() || undefined }
}

function askSysctl(...names: string[]): string {
  // loaded where it is needed, not at every start
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  return spawnSync('/usr/sbin/sysctl', ['-n', ...names], { encoding: 'utf8' }).stdout ?? ''
}

/** winnt.h; Windows tells of no others that a variant takes */
const PF: Readonly<Record<string, number>> = { avx2: 40, avx512f: 41 }

/** @param present kernel32's IsProcessorFeaturePresent */
export function onWindows(present = askKernel32): Processor {
  return {
    has: (feature) => (feature in PF ? present(PF[feature]!) : undefined),
    vendor: /GenuineIntel|AuthenticAMD/.exec(process.env.PROCESSOR_IDENTIFIER ?? '')?.[0],
  }
}

function askKernel32(feature: number): boolean {
  return Boolean(ffi().load('kernel32.dll').func('int __stdcall IsProcessorFeaturePresent(uint32_t feature)')(feature))
}

function fileOf(path: string): Buffer | null {
  try {
    return readFileSync(path)
  } catch {
    return null
  }
}
