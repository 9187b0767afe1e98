// What compiles: this system's own C++ compiler, or for other platforms one that knows them all.
import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'

/** PyPI's package of it; a development tool only */
const ZIG = 'ziglang==0.17.1'

/**
 * `optionsOf`: what a variant is compiled with; `link`: the command that makes a library of objects; `more`: sources beside those of every system
 * `own`: it is this system's; `system`: what compiles native/system, where that is another
 * @typedef {{ command: string[], own?: boolean, version: string, platform: object, optionsOf: (variant: object) => string[], system?: Compiler,
 *   link: (library: string, objects: string[]) => string[], more: string[] }} Compiler
 */

/**
 * GCC 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for mistakes (its bug 105593), and forgets in a precompiled header
 * what a pragma said of them; sources are held to these warnings in the other variants.
 */
const UNDEFINED = ['-Wno-uninitialized', '-Wno-maybe-uninitialized']

/** What a scope does when it is left, it would also do for exceptions, of which there are none: the code for them asks for a runtime that isn't linked. */
const THROWS_NOTHING = '-fno-exceptions'

/** Linux: the C library alone, and what the compiler's own code asks of its runtime, which goes along: a name of the C++ library is found nowhere. */
const PLAIN = [
  ['-nodefaultlibs', '-Wl,-z,defs'],
  ['-lm', '-lpthread', '-lc', '-lgcc'],
]

/** This system's compiler and its version; undefined where there is none. */
export function compilerHere() {
  for (const name of [process.env.CXX, 'g++', 'c++', 'clang++'].filter(Boolean)) {
    const r = spawnSync(name, ['--version'], { encoding: 'utf8' })
    if (r.status === 0) return { name, version: r.stdout.split('\n')[0] }
  }
  return undefined
}

/** @returns {Compiler} this system's */
export function systemCompiler(platform) {
  const here = compilerHere()
  if (!here)
    throw new Error(
      'No C++ compiler found: install g++ (Debian, Ubuntu: `apt install g++`; macOS: `xcode-select --install`), version 11 or later.',
    )
  const { name, version } = here
  const [options, libraries] = process.platform === 'linux' ? PLAIN : [[], []]
  const clang = version.includes('clang')
  return {
    command: [name],
    own: true,
    version,
    platform,
    optionsOf: ({ flags }) => [...flags, THROWS_NOTHING, ...(clang || !flags.includes('-march=x86-64-v4') ? [] : UNDEFINED)],
    link: (library, objects) => [name, '-shared', '-pthread', ...options, '-o', library, ...objects, ...libraries],
    more: [],
  }
}

/** Linux: it stays loaded to the end, for nothing there runs its destructors when a library is closed; every name is found. */
const STAY = ['-Wl,-z,nodelete', '-Wl,-z,defs']

/**
 * `cc`: it would compile a C++ library for every system first, a minute and a half of a core each, and nothing is taken of one (`-z defs`, and on
 * other systems the linker itself, hold to that). Without the options its runtime would be one that checks for undefined behaviour, which nothing calls.
 */
const LINKER = ['cc', '-O3', '-fno-sanitize=all', '-shared', '-s']

/** Windows' own libraries that are asked, every Windows 10's */
const WINDOWS = ['kernel32', ...['math', 'heap', 'runtime', 'string', 'private'].map((part) => `api-ms-win-crt-${part}-l1-1-0`)]

/** @returns {Compiler} one for any platform, fetched into `folder` when it is first asked for */
export function crossCompiler(platform, folder) {
  const zig = zigIn(folder)
  const target = ['-target', platform.zig]
  return {
    command: [zig, 'c++'],
    version: ZIG,
    platform,
    // no debug information: it would say where the sources lay
    optionsOf: (variant) => [...target, ...variant.zig, '-g0', THROWS_NOTHING],
    link: (library, objects) => [
      zig,
      ...LINKER,
      ...target,
      ...(platform.os === 'linux' ? STAY : []),
      ...(platform.os === 'win32' ? ['-nostdlib'] : []),
      // a Mac's library carries its path, which had this process's number
      ...(platform.os === 'darwin' ? ['-install_name', `@rpath/${basename(library)}`] : []),
      '-o',
      library,
      ...objects,
      ...(platform.os === 'win32' ? WINDOWS.map((name) => `-l${name}`) : []),
    ],
    more: platform.os === 'win32' ? ['windows-runtime.cpp'] : [],
  }
}

/** @returns {Compiler} g++'s code over a glibc older than this system's: g++ compiles, the cross compiler's linker knows that glibc */
export function portableCompiler(platform, folder) {
  const zig = zigIn(folder)
  const link = (library, objects) => [zig, ...LINKER, '-target', platform.zig, ...STAY, '-o', library, ...objects, '-lm', '-lpthread']
  return { ...systemCompiler(platform), link }
}

/**
 * @returns {Compiler} g++'s kernels for musl too: of the C library they ask for memory, mathematics and errno alone, which both have in the same
 * form, and the link fails (`-z defs`) for any name that musl lacks
 */
export function borrowingCompiler(platform, folder) {
  const system = crossCompiler(platform, folder)
  return { ...systemCompiler(platform), link: system.link, system }
}

function zigIn(folder) {
  const place = join(folder, ZIG.replace('==', '-'))
  if (!existsSync(place)) fetchZig(place)
  return join(place, 'ziglang', process.platform === 'win32' ? 'zig.exe' : 'zig')
}

function fetchZig(place) {
  const partial = `${place}.${process.pid}.tmp`
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--target', partial, ZIG]
  const python = process.platform === 'win32' ? 'python' : 'python3'
  console.log(`Fetching ${ZIG} from PyPI, which compiles for other platforms …`)
  const r = spawnSync(python, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (r.status !== 0) {
    rmSync(partial, { recursive: true, force: true })
    throw new Error(`${ZIG} can't be fetched: compiling for another platform takes Python with pip (${python} -m pip install ${ZIG}).`)
  }
  try {
    renameSync(partial, place)
  } catch (error) {
    rmSync(partial, { recursive: true, force: true }) // another process was faster
    if (!existsSync(place)) throw error
  }
}

/** Does the compiler (and its assembler) know what a variant asks for? g++ has tiles from version 11 on. */
export function knows({ command, optionsOf }, variant) {
  const flags = optionsOf(variant)
  const source = flags.includes('-mamx-tile') ? '#include <immintrin.h>\nvoid f() { _tile_release(); _tile_dpbf16ps(0, 1, 2); }' : ''
  const args = [...command.slice(1), ...flags, '-x', 'c++', '-c', '-o', '/dev/null', '-']
  return spawnSync(command[0], args, { input: source }).status === 0
}
