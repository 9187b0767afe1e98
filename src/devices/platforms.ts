/** Where saqr runs: the one list of it. Packages, the build, `saqr doctor` and the README's table follow it. */
import { closeSync, openSync, readSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import { version } from '../hub/version.ts'
import { PROOFS, type Proof } from './proofs.ts'

export interface Platform {
  /** of the package with the CPU library, @saqr/<name> */
  name: string
  os: 'linux' | 'darwin' | 'win32'
  cpu: 'x64' | 'arm64'
  libc?: 'glibc' | 'musl'
  /** in words */
  title: string
  /** of a shared library's file */
  suffix: 'so' | 'dylib' | 'dll'
  /** of the package that calls libraries, @koromix/koffi-<name> */
  koffi: string
}

/** where `npm test` runs for every change */
const TESTED = 'linux-x64'

export const PLATFORMS: readonly Platform[] = [
  platform('linux', 'x64', 'glibc', 'Linux x86-64, glibc 2.28 or later'),
  platform('linux', 'arm64', 'glibc', 'Linux arm64, glibc 2.28 or later'),
  platform('linux', 'x64', 'musl', 'Linux x86-64, musl'),
  platform('darwin', 'arm64', undefined, 'macOS 11 or later, Apple silicon'),
  platform('darwin', 'x64', undefined, 'macOS 11 or later, x86-64'),
  platform('win32', 'x64', undefined, 'Windows 10 or later, x86-64'),
]

function platform(os: Platform['os'], cpu: Platform['cpu'], libc: Platform['libc'], title: string): Platform {
  const suffix = os === 'darwin' ? 'dylib' : os === 'win32' ? 'dll' : 'so'
  const koffi = `${os}-${cpu}`
  const name = libc === 'musl' ? `${koffi}-musl` : koffi
  return { name, os, cpu, libc, title, suffix, koffi }
}

/**
 * In words, from what was run: with the day, and with saqr's version where it is not this one's; `not since` where something else of the
 * platform was run or checked on a later day.
 */
export function proofOf(name: string, proofs: readonly Proof[] = PROOFS, own = version()): string {
  const all = proofs.filter((proof) => proof.platform === name).sort((a, b) => (a.on > b.on ? -1 : Number(a.on < b.on)))
  const of = (what: Proof['what']) => all.filter((proof) => proof.what === what)
  const age = ({ saqr, on }: Proof) => `${saqr === own ? '' : `saqr ${saqr}, `}${on}${on === all[0]?.on ? '' : ', not since'}`
  const [product, kernels, symbols] = [of('product'), of('kernels'), of('symbols')]
  const ran = [...product, ...kernels]
  const under = each(ran, 'under')
  // what ran a variant on a day, then the variants that the same ran on that day
  const ways = alike(product, (one) => `${one.variant} ${age(one)}`).map((list) => ({
    variant: each(list, 'variant'),
    rest: `${each(list, 'runtime')}; ${age(list[0]!)}`,
  }))
  const parts = [
    ...(name === TESTED ? ['every test on every change, on processors with AVX2 at least'] : []),
    ...(product.length > 0
      ? [
          `the quickstart cut short, a training killed and resumed ${alike(ways, ({ rest }) => rest)
            .map((list) => `(${each(list, 'variant')}; ${list[0]!.rest})`)
            .join(', ')}`,
        ]
      : []),
    ...alike(kernels, casesOf).map(
      (list) =>
        `a small training and kernels of ${casesOf(list[0]!)} ${alike(list, age)
          .map((day) => `(${each(day, 'variant')}; ${age(day[0]!)})`)
          .join(', ')}`,
    ),
  ]
  const built = symbols.filter(({ variant }) => !ran.some((one) => one.variant === variant))
  if (parts.length > 0 && built.length > 0) parts.push(`built, not run: ${each(built, 'variant')}`)
  if (parts.length > 0) return `${under === '' ? '' : `under ${under}: `}${parts.join('; ')}`
  const ages = [...new Set(symbols.map(age))].join('; ')
  return symbols.length > 0 ? `never run: built, its symbols checked (${ages})` : 'never run: built'
}

/** in lists of those that are called the same, in the order in which they first come */
function alike<T>(list: readonly T[], nameOf: (one: T) => string): T[][] {
  const found = new Map<string, T[]>()
  for (const one of list) found.set(nameOf(one), [...(found.get(nameOf(one)) ?? []), one])
  return [...found.values()]
}

function each<K extends string>(list: readonly Record<K, string>[], key: K): string {
  return [...new Set(list.map((one) => one[key]))].filter(Boolean).sort().join(', ')
}

const casesOf = ({ ops, small }: Proof) => `${ops} ${ops === 1 ? 'op' : 'ops'}${small ? ', small cases' : ''}`

/** @throws SaqrError DEVICE_PLATFORM where saqr doesn't run */
export function platformHere(
  os: string = process.platform,
  cpu: string = process.arch,
  libc = os === 'linux' ? libcOf(process.execPath) : undefined,
): Platform {
  const found = PLATFORMS.find((p) => p.os === os && p.cpu === cpu && p.libc === libc)
  if (found) return found
  const here = `${os} ${cpu}${libc === undefined ? '' : `, ${libc}`}`
  const others = PLATFORMS.map((p) => p.title).join('; ')
  throw new SaqrError(
    'DEVICE_PLATFORM',
    `saqr has no kernels for this system (${here}). It runs on: ${others}. ${insteadOf(os, cpu, libc)}`.trim(),
  )
}

/** What the same machine may have that is in that list; '' where nothing is known. */
function insteadOf(os: string, cpu: string, libc: Platform['libc']): string {
  if (libc === 'musl' && cpu === 'arm64')
    return 'On this machine take a system or container image with glibc (node:24-slim, not node:24-alpine).'
  if (os === 'win32' && cpu === 'arm64') return 'On this machine take Linux arm64, in WSL 2.'
  if (os === 'android') return 'On this machine take Linux arm64 with glibc (in Termux: `proot-distro install debian`, and Node in it).'
  if (cpu === 'ia32' || cpu === 'arm') return 'This Node is of 32 bits: take one of 64, on a system of 64.'
  return ''
}

/** An ELF program names its loader in the segment PT_INTERP, and the loader is the C library's. undefined: a program of 32 bits, or one whose numbers begin with their largest byte (s390x), of which saqr has no library. */
export function libcOf(program: string): Platform['libc'] {
  const fd = openSync(program, 'r')
  try {
    const read = (at: number, bytes: number) => {
      const out = Buffer.alloc(bytes)
      readSync(fd, out, 0, bytes, at)
      return out
    }
    const header = read(0, 64)
    if (header[EI_CLASS] !== ELFCLASS64 || header[EI_DATA] !== ELFDATA2LSB) return undefined
    const [at, size, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(54), header.readUInt16LE(56)]
    for (let i = 0; i < count; i++) {
      const segment = read(at + i * size, 56)
      if (segment.readUInt32LE(0) !== PT_INTERP) continue
      const loader = read(Number(segment.readBigUInt64LE(8)), Number(segment.readBigUInt64LE(32))).toString('latin1')
      return loader.includes('/ld-musl-') ? 'musl' : 'glibc'
    }
  } finally {
    closeSync(fd)
  }
  return 'glibc'
}
const [EI_CLASS, ELFCLASS64, EI_DATA, ELFDATA2LSB, PT_INTERP] = [4, 2, 5, 1, 3]
