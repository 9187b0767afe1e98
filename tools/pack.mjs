#!/usr/bin/env node
// The packages as npm gets them: saqr (JavaScript) and @saqr/<platform> (the CPU library, every variant of this architecture).
//   node tools/pack.mjs [--out out/packages] [--check]     --check: publint and are-the-types-wrong over the result
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values: args } = parseArgs({
  options: { out: { type: 'string', default: join(root, 'out/packages') }, check: { type: 'boolean', default: false } },
})
const main = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const platform = `${process.platform}-${process.arch}`
const native = `@saqr/${platform}`

function run(command, commandArgs, cwd = root) {
  const r = spawnSync(command, commandArgs, { cwd, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' })
  if (r.status !== 0) throw new Error(`${command} ${commandArgs.join(' ')} failed:\n${r.stdout}`)
  return r.stdout
}

/** the tarball's path */
function pack(folder, manifest) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  const name = run('npm', ['pack', '--silent', '--pack-destination', args.out], folder).trim().split('\n').at(-1)
  return join(args.out, name)
}

rmSync(args.out, { recursive: true, force: true })
const stage = join(args.out, 'stage')
mkdirSync(join(stage, 'native'), { recursive: true })

run(process.execPath, ['native/build.mjs', '--all', '--quiet'])
const built = join(root, 'native/build')
for (const file of readdirSync(built))
  if (/^(saqr-.*\.(so|dylib)|variants\.json)$/.test(file)) copyFileSync(join(built, file), join(stage, 'native', file))
writeFileSync(
  join(stage, 'native/README.md'),
  `# ${native}\n\nThe CPU library of [saqr](https://www.npmjs.com/package/saqr) for ${platform}: installed with it, of no use alone.\n`,
)
const { version, license, repository, engines } = main
const nativePackage = pack(join(stage, 'native'), {
  name: native,
  version,
  description: `CPU library of saqr for ${platform}`,
  license,
  repository,
  os: [process.platform],
  cpu: [process.arch],
  ...(process.platform === 'linux' ? { libc: ['glibc'] } : {}),
  engines,
})

const { scripts: _scripts, devDependencies: _dev, ...published } = main
const js = join(stage, 'saqr')
mkdirSync(js)
const kernels = (path) => statSync(path).isDirectory() || /\.cuh?$/.test(path)
for (const name of main.files.filter((name) => !name.includes('*'))) {
  cpSync(join(root, name), join(js, name), { recursive: true, filter: (path) => !/\.(stamp|tsbuildinfo)$/.test(path) })
}
cpSync(join(root, 'src/ops'), join(js, 'src/ops'), { recursive: true, filter: kernels }) // compiled for the card that is found
const jsPackage = pack(js, { ...published, optionalDependencies: { ...main.optionalDependencies, [native]: version } })
rmSync(stage, { recursive: true })

if (args.check) {
  const bin = (name) => join(root, 'node_modules/.bin', name)
  process.stdout.write(run(bin('publint'), ['--strict', jsPackage]))
  process.stdout.write(run(bin('attw'), ['--profile', 'esm-only', '--no-emoji', jsPackage]))
}
console.log(`${jsPackage}\n${nativePackage}`)
