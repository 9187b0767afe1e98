/** Where saqr runs, what a processor has as each system tells it, and what is said where something is missing. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkWhole, notLoaded, ofAnotherVersion } from '../../src/devices/cpu/library.ts'
import { onLinux, onMac, onWindows, runs } from '../../src/devices/cpu/processor.ts'
import { KOFFI } from '../../src/devices/ffi.ts'
import { ownMemory } from '../../src/devices/own-memory.ts'
import { exportsOf, missingPackage } from '../../src/devices/packages.ts'
import { libcOf, PLATFORMS, platformHere, proofOf } from '../../src/devices/platforms.ts'
import { SaqrError } from '../../src/error.ts'
import { runtime, version } from '../../src/hub/version.ts'

describe('platforms', () => {
  it('are found by system, processor and C library', () => {
    for (const p of PLATFORMS) expect(platformHere(p.os, p.cpu, p.libc)).toBe(p)
    expect(platformHere('linux', 'x64', 'musl').name).toBe('linux-x64-musl')
    expect(platformHere().name).toMatch(/^(linux|darwin|win32)-/)
  })

  it('that there are none of are refused by name, with what there is', () => {
    const refuse = (os: string, cpu: string, libc?: 'musl') => () => platformHere(os, cpu, libc)
    expect(refuse('freebsd', 'x64')).toThrow(SaqrError)
    expect(refuse('freebsd', 'x64')).toThrow(/no kernels for this system \(freebsd x64\).*Linux arm64.*Windows/)
    expect(refuse('freebsd', 'x64')).toThrow(/Windows 10 or later, x86-64\.$/)
  })

  it('that there are none of are told what the same machine can run', () => {
    const refuse = (os: string, cpu: string, libc?: 'musl' | 'glibc') => () => platformHere(os, cpu, libc)
    expect(refuse('linux', 'arm64', 'musl')).toThrow(/\(linux arm64, musl\)\. It runs on: .* with glibc \(node:24-slim/)
    expect(refuse('win32', 'arm64')).toThrow(/\(win32 arm64\)\. It runs on: .*WSL 2\.$/)
    expect(refuse('android', 'arm64')).toThrow(/\(android arm64\)\. It runs on: .*proot-distro/)
    expect(refuse('win32', 'ia32')).toThrow(/\(win32 ia32\)\. It runs on: .*32 bits/)
    expect(refuse('linux', 'arm', 'glibc')).toThrow(/\(linux arm, glibc\)\. It runs on: .*32 bits/)
  })
})

it('a program’s C library is not asked for where it is of 32 bits, or writes numbers the other way round', () => {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-elf-'))
  try {
    const program = join(folder, 'node')
    // Arm's e_flags, where a program of 64 bits says the place of its segments
    writeFileSync(program, Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]), Buffer.alloc(57, 0xff)]))
    expect(libcOf(program)).toBe(undefined)
    // s390x: 64 bits, the largest byte first
    writeFileSync(
      program,
      Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 2, 1]), Buffer.alloc(32), Buffer.from([64]), Buffer.alloc(24)]),
    )
    expect(libcOf(program)).toBe(undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
  expect(() => platformHere('linux', 'arm', undefined)).toThrow(SaqrError)
})

describe('a library that the system can’t open', () => {
  const said = (why: string) => notLoaded('/lib/saqr.so', PLATFORMS[0]!, new Error(why)).message
  it('for an old glibc names what it wants', () => {
    expect(said("libc.so.6: version `GLIBC_2.28' not found (required by /lib/saqr.so)")).toBe(
      "this system's glibc is too old: the library for Linux x86-64, glibc 2.28 or later wants 2.28. Use a newer system or container image.",
    )
  })
  it('for an old macOS or musl says so', () => {
    expect(
      said(
        'dlopen(/lib/saqr.dylib, 0x0001): Symbol not found: _x, Referenced from: /lib/saqr.dylib (built for macOS 11.0 which is newer than running OS)',
      ),
    ).toMatch(/^this macOS is too old: the library for .* is built for 11\.0\. Use a newer macOS\.$/)
    expect(said('Error relocating /lib/saqr.so: qsort_r: symbol not found')).toMatch(/^this system's musl is too old \(Error relocating/)
  })
  it('from a folder that nothing may be run from is told where to install', () => {
    const there = /^\/lib\/saqr\.so can't be opened \(.*\)\. Nothing may be run from where it lies \(.*noexec.*\): install saqr into/
    expect(said('/lib/saqr.so: failed to map segment from shared object')).toMatch(there)
    expect(said('Error loading shared library /lib/saqr.so: Operation not permitted')).toMatch(there)
    expect(said('An Application Control policy has blocked this file.')).toMatch(there)
  })
  it('for want of the C++ runtime is told how to install it', () => {
    const there =
      /It needs the C\+\+ runtime: install libstdc\+\+ \(Alpine: `apk add libstdc\+\+`; Debian and Ubuntu: `apt install libstdc\+\+6`\)\.$/
    expect(said('Error loading shared library libstdc++.so.6: No such file or directory (needed by /app/koffi.node)')).toMatch(there)
    expect(said('libgcc_s.so.1: cannot open shared object file: No such file or directory')).toMatch(there)
  })
  it('for another reason gives the reason', () => {
    expect(said('invalid ELF header')).toMatch(/^\/lib\/saqr\.so can't be opened \(invalid ELF header\)\. It is built for Linux x86-64/)
  })
})

it('a system that shows a process nothing of itself is told as that', () => {
  const without = () => {
    throw new Error('ENOENT: no such file or directory, uv_resident_set_memory')
  }
  expect(() => ownMemory(without)).toThrow(/^this process can't ask how much memory it holds \(ENOENT.*\)(\. Mount \/proc)?$/)
  expect(ownMemory().rss).toBeGreaterThan(0)
})

it('koffi where Node loads no addons: told which option', () => {
  const script = "(await import('./dist/devices/ffi.js')).ffi()"
  const run = (...options: string[]) =>
    spawnSync(process.execPath, [...options, '--input-type=module', '-e', script], {
      cwd: join(import.meta.dirname, '../..'),
      encoding: 'utf8',
    })
  expect(run('--no-addons').stderr).toMatch(/can't be opened: .*addons is disabled\. Run Node without --no-addons, and where it has/)
})

describe('a package of this system that is missing', () => {
  const said = (...installed: string[]) =>
    missingPackage(
      'DEVICE_CPU_LIBRARY',
      { name: '@saqr/linux-x64', version: '1.2.3', what: 'the library', others: PLATFORMS.map(({ name }) => `@saqr/${name}`) },
      (name) => installed.includes(name),
    ).message
  it('is told with what to install', () => {
    expect(said()).toMatch(/^@saqr\/linux-x64, the library, is missing\. .*run `npm install @saqr\/linux-x64@1\.2\.3`/)
  })
  it('that is there without what it is for is not whole', () => {
    expect(said('@saqr/linux-x64')).toBe('@saqr/linux-x64, the library, is not whole: delete node_modules and run `npm install`')
  })
  it('where another system’s is there, is told with that one', () => {
    expect(said('@saqr/darwin-arm64')).toMatch(/@saqr\/darwin-arm64, another system's, is here instead.*delete node_modules/)
  })
})

it('a library of another version is told with both versions', () => {
  expect(ofAnotherVersion('@saqr/linux-x64 is version 0.0.1', 'linux-x64').message).toBe(
    `@saqr/linux-x64 is version 0.0.1, saqr is version ${version()}, and both have to be of one: run \`npm install @saqr/linux-x64@${version()}\` (a lock file or "overrides" may hold the other); in a checkout \`node tools/ready.mjs\``,
  )
})

describe('what was run somewhere', () => {
  const run = {
    platform: 'win32-x64',
    variant: 'v3',
    runtime: 'Node 22.20.0',
    under: 'Wine 8.0',
    ops: 0,
    saqr: '1.0.0',
    on: '2026-01-02',
  } as const
  it('is told in words, with the emulator and the day', () => {
    expect(proofOf('win32-x64', [])).toBe('never run: built')
    expect(proofOf('win32-x64', [{ ...run, what: 'symbols' }], '1.0.0')).toBe('never run: built, its symbols checked (2026-01-02)')
    expect(
      proofOf(
        'win32-x64',
        [
          { ...run, what: 'product' },
          { ...run, what: 'kernels', variant: 'v4', ops: 3, on: '2026-01-03' },
        ],
        '1.0.0',
      ),
    ).toBe(
      'under Wine 8.0: the quickstart cut short, a training killed and resumed (v3; Node 22.20.0; 2026-01-02, not since); a small training and kernels of 3 ops (v4; 2026-01-03)',
    )
  })
  it('is told of variants that ran the same together, and that cases were the small ones', () => {
    const kernels = { ...run, what: 'kernels', ops: 43, small: true } as const
    expect(proofOf('win32-x64', [kernels, { ...kernels, variant: 'v4' }, { ...kernels, ops: 1, small: false }], '1.0.0')).toBe(
      'under Wine 8.0: a small training and kernels of 43 ops, small cases (v3, v4; 2026-01-02); a small training and kernels of 1 op (v3; 2026-01-02)',
    )
  })
  it('is told with the day of each variant, and which of them ran on an earlier day alone', () => {
    const [product, kernels] = [{ ...run, what: 'product' } as const, { ...run, what: 'kernels', ops: 3 } as const]
    const runs = [
      { ...product, variant: 'v4', on: '2026-01-01' },
      product,
      { ...product, runtime: 'Bun 1.4.5' },
      { ...product, variant: 'v4', runtime: 'Bun 1.4.5', on: '2026-01-01' },
      { ...kernels, variant: 'v4', on: '2026-01-01' },
      kernels,
      { ...run, what: 'symbols', variant: 'amx' } as const,
    ]
    const told = (end: string) =>
      `under Wine 8.0: the quickstart cut short, a training killed and resumed (v3; Bun 1.4.5, Node 22.20.0; 2026-01-02), (v4; Bun 1.4.5, Node 22.20.0; 2026-01-01, not since); a small training and kernels of 3 ops ${end}`
    expect(proofOf('win32-x64', runs, '1.0.0')).toBe(told('(v3; 2026-01-02), (v4; 2026-01-01, not since); built, not run: amx'))
    // as soon as they run
    const today = [...runs.filter(({ what }) => what !== 'kernels'), ...['v4', 'v3', 'amx'].map((variant) => ({ ...kernels, variant }))]
    expect(proofOf('win32-x64', today, '1.0.0')).toBe(told('(amx, v3, v4; 2026-01-02)'))
  })
  it('is told of variants that were built alone beside those that ran', () => {
    const [ran, built] = [{ ...run, what: 'kernels', ops: 3 } as const, { ...run, what: 'symbols' } as const]
    expect(proofOf('win32-x64', [ran, built, { ...built, variant: 'v4' }], '1.0.0')).toBe(
      'under Wine 8.0: a small training and kernels of 3 ops (v3; 2026-01-02); built, not run: v4',
    )
  })
  it('is told with saqr’s version where it was another one', () => {
    const older = [
      { ...run, what: 'product' },
      { ...run, what: 'product', runtime: 'Bun 1.4.5', saqr: '0.9.0' },
    ] as const
    expect(proofOf('win32-x64', older, '1.0.0')).toBe(
      'under Wine 8.0: the quickstart cut short, a training killed and resumed (v3; Node 22.20.0; 2026-01-02), (v3; Bun 1.4.5; saqr 0.9.0, 2026-01-02)',
    )
    expect(proofOf('win32-x64', [{ ...run, what: 'symbols' }], '1.0.1')).toBe(
      'never run: built, its symbols checked (saqr 1.0.0, 2026-01-02)',
    )
  })
})

it('the README says of every platform what was run there', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  for (const { title, name } of PLATFORMS) {
    const row = readme.split('\n').find((line) => line.startsWith(`| ${title} `))
    expect(row?.split('|')[3]?.trim(), title).toBe(proofOf(name))
  }
})

const V3 = { name: 'v3', needs: ['avx2', 'fma'] }
const V4 = { name: 'v4', needs: ['avx512f', 'avx512bw'] }
const DOTS = { name: 'dots', needs: ['avx512f', 'avx512_bf16'], slowOn: 'GenuineIntel' }
const BF16 = { name: 'bf16', needs: ['bf16'] }
const PLAIN = { name: 'plain', needs: [] }

describe('a processor', () => {
  const linux = (flags: string, vendor = 'AuthenticAMD') =>
    onLinux((path) => (path === '/proc/cpuinfo' ? Buffer.from(`vendor_id\t: ${vendor}\nflags\t\t: fpu ${flags}\n`) : null), 'x64')
  it('of x86-64 on Linux is what /proc/cpuinfo says', () => {
    expect(runs(V3, linux('avx2 fma'))).toBe(true)
    expect(runs(V3, linux('avx2'))).toBe(false)
    expect(runs(DOTS, linux('avx512f avx512_bf16'))).toBe(true)
    expect(runs(DOTS, linux('avx512f avx512_bf16', 'GenuineIntel'))).toBe(false)
  })

  it('that a sandbox says nothing of is left to the library, which asks the processor itself', () => {
    for (const text of [null, '', 'processor\t: 0\nmodel name\t: unknown\n'])
      expect(
        runs(
          V4,
          onLinux(() => (text === null ? null : Buffer.from(text)), 'x64'),
        ),
        String(text),
      ).toBe(true)
  })

  it('of arm64 on Linux is what the kernel gave the process', () => {
    const words = (...values: bigint[]) => {
      const bytes = Buffer.alloc(values.length * 8)
      for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(value, i * 8)
      return bytes
    }
    const with2 = (bits: bigint) =>
      onLinux((path) => (path === '/proc/self/auxv' ? words(16n, ~0n & 0xffffn, 26n, bits, 0n, 0n) : null), 'arm64')
    expect(runs(BF16, with2(1n << 14n))).toBe(true)
    expect(runs(BF16, with2(~(1n << 14n) & 0xffffffffn))).toBe(false)
    expect(
      runs(
        BF16,
        onLinux(() => null, 'arm64'),
      ),
    ).toBe(false)
    expect(
      runs(
        PLAIN,
        onLinux(() => null, 'arm64'),
      ),
    ).toBe(true)
  })

  it('of a Mac is what sysctl says', () => {
    const intel = onMac(
      (name) => (name === 'machdep.cpu.vendor' ? 'GenuineIntel\n' : 'FPU AVX1.0 FMA\nAVX2 BMI1 AVX512F AVX512BW\n'),
      'x64',
    )
    expect([V3, V4, DOTS].map((v) => runs(v, intel))).toEqual([true, true, false])
    expect(
      runs(
        BF16,
        onMac(() => '1\n', 'arm64'),
      ),
    ).toBe(true)
    expect(
      runs(
        BF16,
        onMac(() => '', 'arm64'),
      ),
    ).toBe(false) // the first Apple silicon doesn't know the name
  })

  it('of Windows: what it doesn’t tell, the library asks itself', () => {
    const of = (...present: number[]) => onWindows((feature) => present.includes(feature))
    expect([V3, V4].map((v) => runs(v, of(40, 41)))).toEqual([true, true])
    expect([V3, V4].map((v) => runs(v, of(40)))).toEqual([true, false])
    expect(runs(V3, of())).toBe(false)
  })
})

describe('a saqr that was bundled', () => {
  it('is told that it has to stay outside, not which file is missing', () => {
    const elsewhere = new URL('../../biome.json', import.meta.url)
    for (const file of [elsewhere, new URL('no-such-file.json', elsewhere)])
      expect(() => version(file)).toThrow(
        expect.objectContaining({ code: 'DEVICE_BUNDLED', message: expect.stringContaining('--external:saqr') }),
      )
  })
})

it('what runs a program is named with its version', () => {
  expect(runtime({ node: '22.1.0' })).toBe('Node 22.1.0')
  expect(runtime({ node: '24.3.0', bun: '1.4.5' })).toBe('Bun 1.4.5')
  expect(runtime({ node: '26.3.0', deno: '2.9.6' })).toBe('Deno 2.9.6')
})

it('npm brings what calls libraries for every platform, and nothing beside', () => {
  const { optionalDependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    optionalDependencies: Record<string, string>
  }
  const wanted = new Set(PLATFORMS.map(({ koffi }) => `@koromix/koffi-${koffi}`))
  expect(Object.keys(optionalDependencies).sort()).toEqual([...wanted].sort())
  expect(new Set(Object.values(optionalDependencies))).toEqual(new Set([KOFFI]))
})

it('each platform has its packages written out', () => {
  const missing = { code: expect.stringMatching(/^(MODULE_NOT_FOUND|ERR_DLOPEN_FAILED)$/) } // the other libc's is there, too
  for (const { name } of PLATFORMS) {
    expect(() => exportsOf('saqr', name)).toThrow(expect.objectContaining(missing)) // a checkout has its own build
    if (name === platformHere().name) expect(exportsOf('koffi', name)).toHaveProperty('load')
    else expect(() => exportsOf('koffi', name)).toThrow(expect.objectContaining(missing))
  }
})

it('who copies what a program needs reads the calls for them', () => {
  const bundle = new URL('../../dist/package/', import.meta.url)
  const text = readdirSync(bundle).map((name) => readFileSync(new URL(name, bundle), 'utf8'))
  const holder = text.find((each) => each.includes('@saqr/linux-x64'))!
  // as @vercel/nft knows one: what createRequire of node:module gave, called with a name
  expect(holder).toMatch(/^import \{[^}]*\bcreateRequire\b[^}]*\} from "node:module";$/m)
  const [, require] = /^const ([\w$]+) = createRequire\(/m.exec(holder)!
  for (const { name, koffi } of PLATFORMS) {
    expect(holder).toContain(`${require}("@saqr/${name}")`)
    expect(holder).toContain(
      `${require}("@koromix/koffi-${koffi}/${name.endsWith('-musl') ? 'musl_x64' : koffi.replace('-', '_')}/koffi.node")`,
    )
  }
})

it('a library that a full disk cut is told before it is opened, which would end the process', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'saqr-cut-')), 'saqr.so')
  writeFileSync(path, 'half of it')
  expect(() => checkWhole(path, 20)).toThrow(
    `${path} has 10 bytes where the package says 20, so what was installed is not whole: delete node_modules and run \`npm install\``,
  )
  for (const bytes of [10, undefined]) checkWhole(path, bytes) // a checkout's own build says none
  rmSync(dirname(path), { recursive: true })
})
