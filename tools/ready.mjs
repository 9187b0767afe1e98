#!/usr/bin/env node
// Makes a checkout ready to run: installs what is missing, builds the CPU library and dist/. Nothing to do: well under a second.
//   node tools/ready.mjs [--quiet] [--anew]
// --anew: dist/ from nothing, for packages: compiled over what was there, types list their names in another order, and what was deleted stays
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const quiet = process.argv.includes('--quiet')
const anew = process.argv.includes('--anew')
const say = (text) => {
  if (!quiet) console.log(text)
}

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) fail(`saqr needs Node.js 20.19 or later, this is ${process.version}.`)

function fail(message) {
  console.error(message)
  process.exit(1)
}

async function run(command, args, what) {
  const child = spawn(command, args, {
    cwd: root,
    stdio: quiet ? ['ignore', 'ignore', 'inherit'] : ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${what} failed.`)
}

/** names, sizes and times of everything below these paths: changes when a file does */
function stamp(paths) {
  const hash = createHash('sha256')
  const visit = (path) => {
    const info = statSync(path)
    if (info.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name))
    else if (!path.endsWith('.cpp') && !path.endsWith('.cu')) hash.update(`${path} ${info.size} ${info.mtimeMs}\n`)
  }
  for (const path of paths) visit(join(root, path))
  return hash.digest('hex')
}

async function compile() {
  const sources = stamp(['src', 'tsconfig.json', 'package.json', 'tools/command.mjs', 'tools/builtins.mjs'])
  const stampFile = join(root, 'dist/.stamp')
  if (anew) rmSync(join(root, 'dist'), { recursive: true, force: true })
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === sources) return
  say('Compiling TypeScript …')
  await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], 'tsc')
  await (await import('./command.mjs')).bundle()
  writeFileSync(stampFile, sources)
}

try {
  const installed = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(root, 'package-lock.json')).mtimeMs) {
    if (lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink())
      throw new Error('node_modules is a link, and npm ci would empty the folder that it leads to: remove the link, then run this again')
    say('Installing dependencies …')
    await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci')
  }
  await run(process.execPath, ['tools/op-lists.mjs'], 'Listing the ops')
  // neither reads what the other writes: the checker of types has one thread
  const library = run(process.execPath, ['native/build.mjs', ...(quiet ? ['--quiet'] : [])], 'Building the CPU library')
  const failed = (await Promise.allSettled([library, compile()])).find(({ status }) => status === 'rejected')
  if (failed) throw failed.reason
} catch (error) {
  fail(error.message)
}
