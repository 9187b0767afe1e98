#!/usr/bin/env node
// The packages as npm gets them: saqr (JavaScript) and @saqr/<platform> (the CPU library, every variant of its architecture).
//   node tools/pack.mjs [--all | --platform NAME …] [--out out/packages] [--check]
// --all: every platform of src/devices/platforms.ts, --platform: that one, else this machine's; --check: publint and are-the-types-wrong over the result
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildPlatform } from '../native/builder.mjs'
import { PLATFORMS, platformOf, platformOfThis } from '../native/platforms.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values: args } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    platform: { type: 'string', multiple: true },
    out: { type: 'string', default: join(root, 'out/packages') },
    check: { type: 'boolean', default: false },
  },
})
if (args.platform?.some((name) => !PLATFORMS.some((p) => p.name === name))) {
  console.error(`pack: --platform is one of ${PLATFORMS.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
const main = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const packed = args.all ? PLATFORMS : (args.platform?.map(platformOf) ?? [platformOfThis()])

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
const { version, license, repository, engines } = main

/** Says where the package lies, and names its files as whoever copies what a program needs (@vercel/nft) reads them. */
const indexOf = (files) => `'use strict'
const { join } = require('node:path')
exports.folder = __dirname
exports.files = [
${files.map((file) => `  join(__dirname, '${file}'),`).join('\n')}
]
`

/** the tarball of a platform's CPU library */
async function packPlatform(platform) {
  const name = `@saqr/${platform.name}`
  const built = await buildPlatform(platform)
  const folder = join(stage, platform.name)
  mkdirSync(folder, { recursive: true })
  const variants = JSON.parse(readFileSync(join(built, 'variants.json'), 'utf8')).map((variant) => {
    const file = `saqr-${variant.name}.${platform.suffix}`
    copyFileSync(join(built, file), join(folder, file))
    return { ...variant, bytes: statSync(join(folder, file)).size } // what unpacking left of it is held against this
  })
  writeFileSync(join(folder, 'variants.json'), JSON.stringify(variants))
  writeFileSync(join(folder, 'index.cjs'), indexOf(['variants.json', ...variants.map(({ name }) => `saqr-${name}.${platform.suffix}`)]))
  writeFileSync(
    join(folder, 'README.md'),
    `# ${name}\n\nThe CPU library of [saqr](https://www.npmjs.com/package/saqr) for ${platform.title}: installed with it, of no use alone.\n`,
  )
  return pack(folder, {
    name,
    version,
    description: `CPU library of saqr for ${platform.title}`,
    main: 'index.cjs',
    license,
    repository,
    os: [platform.os],
    cpu: [platform.cpu],
    ...(platform.libc ? { libc: [platform.libc] } : {}),
    preferUnplugged: true, // Yarn's Plug'n'Play would leave it in a zip, where no system opens a library
    engines,
  })
}

await Promise.all(packed.map((platform) => buildPlatform(platform))) // at once, so that no processor waits for a platform's last file
const nativePackages = []
for (const platform of packed) nativePackages.push(await packPlatform(platform))

const { scripts: _scripts, devDependencies: _dev, ...published } = main
const js = join(stage, 'saqr')
mkdirSync(js)
const kernels = (path) => statSync(path).isDirectory() || /\.cuh?$/.test(path)
/** not what tools leave beside it: compilers their state, Python its byte code */
const wanted = (path) => !/(\.(stamp|tsbuildinfo)|__pycache__)$/.test(path)
for (const name of main.files.filter((name) => !name.includes('*'))) {
  cpSync(join(root, name), join(js, name), { recursive: true, filter: wanted })
}
cpSync(join(root, 'src/ops'), join(js, 'src/ops'), { recursive: true, filter: kernels }) // compiled for the card that is found
const libraries = Object.fromEntries(PLATFORMS.map(({ name }) => [`@saqr/${name}`, version]))
const jsPackage = pack(js, { ...published, optionalDependencies: { ...main.optionalDependencies, ...libraries } })
rmSync(stage, { recursive: true })

if (args.check) {
  const bin = (name) => join(root, 'node_modules/.bin', name)
  process.stdout.write(run(bin('publint'), ['--strict', jsPackage]))
  process.stdout.write(run(bin('attw'), ['--profile', 'esm-only', '--no-emoji', jsPackage]))
}
console.log([jsPackage, ...nativePackages].join('\n'))
