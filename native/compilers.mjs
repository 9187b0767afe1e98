// What compiles: this system's own C++ compiler, or for other platforms one that knows them all.
import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'

/** PyPI's package of it; a development tool only */
const ZIG = 'ziglang==0.17.1'

/**
 * `optionsOf`: what a variant is compiled with; `link`: the command that makes a library of objects; `more`: sources beside those of every system
 * `own`: it is this system's
 * @typedef {{ command: string[], own?: boolean, version: string, platform: object, optionsOf: (variant: object) => string[],
 *   link: (library: string, objects: string[]) => string[], more: string[] }} Compiler
 */

/**
 * GCC 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for mistakes (its bug 105593), and forgets in a precompiled header
 * what a pragma said of them; sources are held to these warnings in the other variants.
 */
const UNDEFINED = ['-Wno-uninitialized', '-Wno-maybe-uninitialized']

/** @returns {Compiler} this system's */
export function systemCompiler(platform) {
  for (const name of [process.env.CXX, 'g++', 'c++', 'clang++'].filter(Boolean)) {
    const r = spawnSync(name, ['--version'], { encoding: 'utf8' })
    if (r.status !== 0) continue
    // the compiler's own runtime goes along: the library runs where none is installed
    const own = process.platform === 'linux' ? ['-static-libstdc++', '-static-libgcc'] : []
    const version = r.stdout.split('\n')[0]
    const clang = version.includes('clang')
    return {
      command: [name],
      own: true,
      version,
      platform,
      optionsOf: ({ flags }) => (clang || !flags.includes('-march=x86-64-v4') ? flags : [...flags, ...UNDEFINED]),
      link: (library, objects) => [name, '-shared', '-pthread', ...own, '-o', library, ...objects],
      more: [],
    }
  }
  throw new Error(
    'No C++ compiler found: install g++ (Debian, Ubuntu: `apt install g++`; macOS: `xcode-select --install`), version 11 or later.',
  )
}

/** Linux: it stays loaded to the end, for nothing there runs its destructors when a library is closed. */
const STAY = '-Wl,-z,nodelete'

/** Without it the linker's runtime would be one that checks for undefined behaviour, which nothing calls and which takes as long to compile as a kernel. */
const RELEASE = ['-O3', '-fno-sanitize=all']

/** @returns {Compiler} one for any platform, fetched into `folder` when it is first asked for */
export function crossCompiler(platform, folder) {
  const zig = zigIn(folder)
  const target = ['-target', platform.zig]
  return {
    command: [zig, 'c++'],
    version: ZIG,
    platform,
    // no debug information: it would say where the sources lay
    optionsOf: (variant) => [...target, ...variant.zig, '-g0'],
    link: (library, objects) => [
      zig,
      'c++',
      ...target,
      ...RELEASE,
      '-shared',
      '-s',
      ...(platform.os === 'linux' ? [STAY] : []),
      // a Mac's library carries its path, which had this process's number
      ...(platform.os === 'darwin' ? ['-install_name', `@rpath/${basename(library)}`] : []),
      '-o',
      library,
      ...objects,
    ],
    more: [],
  }
}

/** @returns {Compiler} g++'s code and runtime over a glibc older than this system's: g++ compiles, the cross compiler's linker knows that glibc */
export function portableCompiler(platform, folder) {
  const zig = zigIn(folder)
  const own = systemCompiler(platform)
  const runtime = ['libstdc++.a', 'libgcc.a'].map((name) =>
    spawnSync(own.command[0], [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim(),
  )
  const target = ['-target', platform.zig, ...RELEASE, '-shared', '-s', STAY, '-Wl,-z,defs']
  const system = ['-lunwind', '-lc', '-lm', '-lpthread'] // g++'s own unwinder asks the newer glibc
  return {
    ...own,
    link: (library, objects) => [zig, 'cc', ...target, '-o', library, ...objects, ...runtime, ...system],
    more: ['glibc.cpp'],
  }
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
