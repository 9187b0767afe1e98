// A folder in which this checkout's tests run in another processor's Node under QEMU, on any Linux x86-64, without a network and without anything
// installed: tools/suite-run.mjs runs them.
//   bin/node         begins that Node in QEMU; tests and their children know it as process.execPath
//   bin/as-node.cjs  makes it that
//   root/            QEMU reads what lies there first: libraries of the platform, and bin/node as the program that it begins
//   saqr/            what git knows of the checkout, dist/, node_modules/ and the CPU library, of that platform
//   suite.json       which commit it is, which files run, which don't and why
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { npmPackage } from './packages.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Files of tests by what they need, which is not there. */
export const LEFT_OUT = {
  'cli/signals.test.ts': "the group of a process: of its own QEMU's /proc says 0",
  'train/memory.test.ts': "what a process holds: QEMU's /proc says 0",
}

/** what tests import beside what saqr does; the rest of the development packages belongs to the checkout's own processor */
const TESTING = ['openai', 'rolldown', 'typescript', 'vitest']

/** what compiles TypeScript: on this machine in its own Node, elsewhere in the emulated one, which every machine that unpacks it has */
const COMPILERS = { here: '@rolldown/binding-linux-x64-gnu', there: '@rolldown/binding-linux-arm64-gnu' }

/** what Node, koffi and the CPU library load of the system */
const SYSTEM = /^(ld-linux-aarch64|lib(c|m|dl|pthread|rt|gcc_s|stdc\+\+|resolv|util|nss_dns|nss_files))\.so\.\d+$/

/**
 * @param {string} folder made anew
 * @param {{ qemu: string, cpu: string[], libraries: string, node: string }} emulated QEMU's program and its arguments, a folder with lib/ of the
 *   platform, its Node
 * @param {string} libraries as buildPlatform leaves them
 * @param {string} koffi the platform by koffi's name
 */
export function suiteFolder(folder, emulated, libraries, koffi) {
  rmSync(folder, { recursive: true, force: true })
  const files = checkout(join(folder, 'saqr'), libraries, koffi)
  system(folder, emulated)
  const tests = files.filter(isTest).map((file) => file.slice('test/'.length))
  const commit = git('describe', '--always', '--dirty', '--abbrev=12').trim()
  const suite = { commit, files: tests.filter((file) => !LEFT_OUT[file]), leftOut: LEFT_OUT }
  writeFileSync(join(folder, 'suite.json'), `${JSON.stringify(suite, null, 1)}\n`)
  return suite
}

/** what git knows, what is built, the packages; @returns the files that git knows */
function checkout(saqr, libraries, koffi) {
  const whole = { recursive: true, preserveTimestamps: true } // dist/ has to be younger than what it is made of
  const copy = (path) => cpSync(join(root, path), join(saqr, path), whole)
  const files = git('ls-files', '-z', '--cached', '--others', '--exclude-standard').split('\0')
  for (const file of files) if (file && existsSync(join(root, file))) copy(file)
  for (const path of ['dist', 'src/ops/generated', 'native/build/attrs']) copy(path)
  for (const file of readdirSync(libraries))
    if (/\.so$|^variants\.json$/.test(file)) cpSync(join(libraries, file), join(saqr, 'native/build', file))

  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  for (const name of taken(lock)) copy(name)
  for (const name of [`@koromix/koffi-${koffi}`, ...Object.values(COMPILERS)])
    cpSync(npmPackage(name, lock[`node_modules/${name}`].version), join(saqr, 'node_modules', name), whole)
  return files
}

const isTest = (file) => /^test\/.*\.test\.ts$/.test(file)

/** Folders of packages, with those that they take; one that is installed for this machine's processor alone is not among them. */
function taken(lock) {
  const names = [...Object.keys(lock[''].dependencies), ...TESTING].map((name) => `node_modules/${name}`)
  const found = new Set()
  for (let at = names.pop(); at; at = names.pop()) {
    if (found.has(at) || !lock[at]) continue
    found.add(at)
    for (const name of Object.keys({ ...lock[at].dependencies, ...lock[at].peerDependencies })) {
      const own = `${at}/node_modules/${name}`
      names.push(lock[own] ? own : `node_modules/${name}`)
    }
  }
  return [...found].filter((path) => existsSync(join(root, path)))
}

/** what begins the platform's Node */
function system(folder, { qemu, cpu, libraries, node }) {
  for (const name of ['bin', 'root/lib']) mkdirSync(join(folder, name), { recursive: true })
  cpSync(realpathSync(qemu), join(folder, 'bin/qemu'))
  cpSync(node, join(folder, 'bin/program'))
  for (const file of readdirSync(join(libraries, 'lib')))
    if (SYSTEM.test(file)) cpSync(realpathSync(join(libraries, 'lib', file)), join(folder, 'root/lib', file))
  const args = [...cpu, '-L', '"$here/../root"', '"$here/program"', '--require', '"$here/as-node.cjs"'].join(' ')
  writeFileSync(join(folder, 'bin/node'), `#!/bin/sh\nhere=\${0%/*}\nexec "$here/qemu" ${args} "$@"\n`, { mode: 0o755 })
  writeFileSync(join(folder, 'bin/as-node.cjs'), AS_NODE)
}

/**
 * As archives, with what runs them: system.tar.xz is what git doesn't know, which runs with the same commit's checkout; checkout.tar.xz is that checkout.
 */
export function packSuite(folder, out) {
  mkdirSync(out, { recursive: true })
  const built = ['dist', 'native/build', 'node_modules', 'src/ops/generated'].map((path) => `./saqr/${path}`)
  const tar = (name, ...args) =>
    run('tar', ['--create', '--use-compress-program=xz -9 -T0', `--file=${join(out, name)}`, `--directory=${folder}`, ...args])
  tar('system.tar.xz', `--exclude=./saqr/node_modules/${COMPILERS.here}`, './bin', './root', './suite.json', ...built)
  tar('checkout.tar.xz', ...built.map((path) => `--exclude=${path}`), './saqr')
  cpSync(join(root, 'tools/run-suite.sh'), join(out, 'run-suite.sh'))
}

const AS_NODE = `// the kernel can't begin a program of another processor: what is begun by process.execPath is begun in QEMU
process.execPath = require('node:path').join(__dirname, 'node')
`

const git = (...args) => run('git', args)

function run(program, args) {
  const r = spawnSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 })
  if (r.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${r.error?.message ?? r.stderr}`)
  return r.stdout
}
