#!/usr/bin/env node
// Holds built CPU libraries against what their systems offer, where they can't be run or their oldest system isn't at hand:
//   node tools/symbols.mjs PLATFORM|all [--record]        after `node native/build.mjs --platform PLATFORM`
// Each library has every function that saqr calls; it asks for nothing but the system's own libraries, and of those for nothing that the oldest
// one named in src/devices/platforms.ts lacks; an arm64 library can be mapped in pages of 64 KiB; a macOS library's signature holds. Exit code 1: something is off.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { PLATFORMS, platformOf } from '../native/platforms.mjs'
import { readMachO } from './mach-o.mjs'
import { wheel } from './packages.mjs'
import { record } from './proofs.mjs'

const { FUNCTIONS } = await import('../src/devices/cpu/library.ts')

const root = dirname(dirname(fileURLToPath(import.meta.url)))
/** A release of the cross compiler that still tells what macOS 11 has. */
const MAC_11 = 'ziglang==0.10.1.post1'
const called = Object.values(FUNCTIONS).map((signature) => /\bsaqr_\w+(?=\()/.exec(signature)[0])

const { values, positionals } = parseArgs({ options: { record: { type: 'boolean', default: false } }, allowPositionals: true })
const [which] = positionals
if (positionals.length !== 1) {
  console.error(`Usage: node tools/symbols.mjs PLATFORM|all [--record]; PLATFORM: ${PLATFORMS.map((p) => p.name).join(', ')}`)
  process.exit(1)
}
for (const platform of which === 'all' ? PLATFORMS : [platformOf(which)]) {
  const folder = join(root, 'native/build', platform.name)
  const libraries = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(`.${platform.suffix}`)) : []
  if (libraries.length === 0) fail(`${platform.name}: nothing is built; node native/build.mjs --platform ${platform.name}`)
  for (const file of libraries.sort()) {
    const { exports, said, missing } = { linux: elf, darwin: machO, win32: dll }[platform.os](join(folder, file), platform)
    const without = called.filter((name) => !exports.has(name))
    if (without.length > 0) fail(`${platform.name}/${file} lacks ${without.join(', ')}`)
    if (missing.length > 0) fail(`${platform.name}/${file} asks for what the oldest ${platform.title} lacks: ${missing.join(', ')}`)
    if (without.length + missing.length > 0) continue
    console.log(`ok ${platform.name}/${file}: all ${called.length} functions; ${said}`)
    const variant = file.slice('saqr-'.length, -platform.suffix.length - 1)
    if (values.record) record({ platform: platform.name, what: 'symbols', variant, runtime: platform.title, under: '', ops: 0 })
  }
}

function fail(message) {
  console.log(`FAIL ${message}`)
  process.exitCode = 1
}

function tool(name, args) {
  const r = spawnSync(name, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (r.status !== 0) throw new Error(`${name} ${args.join(' ')}: ${r.error?.message ?? r.stderr} (it comes with binutils)`)
  return r.stdout
}

/** glibc's versions of symbols say since when it has them; musl has none, and its whole list is the cross compiler's own */
function elf(path, { cpu, libc, title }) {
  const symbols = tool('readelf', ['-W', '--dyn-syms', path])
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => /^\d+:$/.test(fields[0]) && fields[7])
  const exports = new Set(symbols.filter((fields) => fields[6] !== 'UND').map((fields) => fields[7]))
  const needed = [...tool('readelf', ['-W', '-d', path]).matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1])
  const own = libc === 'musl' ? /^libc\.(so|musl-\w+\.so\.1)$/ : /^(lib(c|m|dl|pthread|rt)\.so\.\d|ld-linux-\w+[-.\w]*\.so\.\d)$/
  const missing = needed.filter((name) => !own.test(name))
  const apart = [...tool('readelf', ['-W', '-l', path]).matchAll(/^\s+LOAD\s.*\s(0x[\da-f]+)$/gm)].map(([, align]) => Number(align))
  // 16 KiB on a Raspberry Pi 5 and Apple's processors, 64 on some servers
  if (apart.length === 0) missing.push('what readelf calls a LOAD segment: its list was not understood')
  else if (cpu === 'arm64' && Math.min(...apart) < 1 << 16)
    missing.push(`pages of ${Math.min(...apart)} bytes, of all that arm64's systems have`)
  if (libc === 'musl') return { exports, missing, said: `needs ${needed.join(', ')}` }
  const oldest = /glibc (\d+)\.(\d+)/.exec(title).slice(1).map(Number)
  const versions = symbols.map((fields) => /@GLIBC_(\d+)\.(\d+)/.exec(fields[7])?.slice(1).map(Number)).filter(Boolean)
  const order = ([a, b], [c, d]) => a - c || b - d
  const newer = versions.filter((version) => order(version, oldest) > 0).map((version) => `GLIBC_${version.join('.')}`)
  return {
    exports,
    missing: [...missing, ...new Set(newer)],
    said: `glibc ${versions.sort(order).at(-1).join('.')} is the newest it asks for`,
  }
}

/** Windows tells libraries, not since when they have a function: those of every Windows 10 */
function dll(path) {
  const text = tool('objdump', ['-p', path])
  const [imports, exported] = text.split(/\[Ordinal\/Name Pointer\] Table/)
  const exports = new Set([...(exported ?? '').matchAll(/^\s*\[\s*\d+\].*?\s(\w+)$/gm)].map((match) => match[1]))
  const needed = [...imports.matchAll(/DLL Name: (\S+)/g)].map((match) => match[1].toLowerCase())
  const missing = needed.filter((name) => !/^(kernel32|ntdll|advapi32|psapi|msvcrt|ucrtbase|api-ms-win-crt-[\w-]+)\.dll$/.test(name))
  return { exports, missing, said: `needs ${needed.filter((name) => !name.startsWith('api-ms')).join(', ')} and Windows' C runtime` }
}

/** macOS 11's own list of what its one system library has */
function machO(path, { cpu }) {
  const { exports, imports, libraries, oldest, signature } = readMachO(readFileSync(path))
  const offered = macSymbols(cpu === 'arm64' ? 'arm64' : 'x86_64')
  const missing = imports.filter((name) => !offered.has(name))
  for (const name of libraries) if (name !== '/usr/lib/libSystem.B.dylib') missing.push(name)
  if (oldest !== '11.0') missing.push(`a system of version ${oldest}`)
  if (cpu === 'arm64' && !signature) missing.push('a signature, which Apple silicon asks for')
  if (signature && !signature.holds) missing.push('the bytes that its signature is of')
  const signed = signature ? `signed ad hoc, ${signature.pages} pages` : 'not signed, which x86-64 takes'
  return {
    exports: new Set([...exports].map((name) => name.slice(1))),
    missing,
    said: `${imports.length} imports, all of macOS 11's; ${signed}`,
  }
}

function macSymbols(cpu) {
  const file = join(wheel(MAC_11), 'ziglang/lib/libc/darwin/libSystem.11.tbd')
  const names = new Set()
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'), { logLevel: 'silent' }).map((each) => each.toJS()))
    for (const { targets, symbols = [], 'weak-symbols': weak = [] } of [...(document.exports ?? []), ...(document.reexports ?? [])])
      if (targets.some((target) => target.split('-')[0] === cpu && target.endsWith('-macos')))
        for (const name of [...symbols, ...weak]) names.add(name)
  return names
}
