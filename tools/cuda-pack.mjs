#!/usr/bin/env node
// Compiles test:cuda, bench:cuda, test:cpu, bench:ops and bench:cpu, with the sources and fixtures they use, into a folder that runs on a machine
// with Node and the production packages alone. The CPU library goes along in the variants that are built.
//   node tools/cuda-pack.mjs [OUT] [--libraries FOLDER]     of another platform, as native/build.mjs --platform writes them
// OUT's default is .gpu/js; there: node OUT/tools/cuda-test.js, node OUT/bench/cuda.js, node OUT/bench/cpu.js …
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values, positionals } = parseArgs({
  options: { libraries: { type: 'string', default: join(root, 'native/build') } },
  allowPositionals: true,
})
const out = resolve(positionals[0] ?? join(root, '.gpu/js'))
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

const config = join(out, 'tsconfig.json')
const programs = [
  'tools/cuda-test.ts',
  'tools/cuda-test/ballast.ts',
  'tools/cuda-test/memory-run.ts',
  'tools/performance-table.ts',
  'bench/cuda.ts',
  'bench/cuda-case.ts',
  'tools/cpu-test.ts',
  'tools/platform-test.ts',
  'bench/ops.ts',
  'bench/decode.ts',
  'bench/cpu.ts',
  'bench/cpu-case.ts',
  'bench/grouped.ts',
  'bench/generate.ts',
  'bench/cuda-pairs.ts',
  'bench/pair-fold.ts',
  'bench/pair-folds.ts',
]
const files = programs.map((file) => relative(out, join(root, file)))
const compilerOptions = {
  rootDir: relative(out, root),
  outDir: '.',
  noEmit: false,
  declaration: false,
  incremental: false,
  // wherever OUT is
  typeRoots: [join(root, 'node_modules/@types')],
  rewriteRelativeImportExtensions: true,
}
writeFileSync(config, JSON.stringify({ extends: relative(out, join(root, 'tsconfig.json')), compilerOptions, files, include: [] }))
const r = spawnSync(process.execPath, [join(root, 'node_modules/typescript-7/bin/tsc'), '-p', config], { stdio: 'inherit' })
if (r.status !== 0) process.exitCode = 1

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
writeFileSync(join(out, 'package.json'), `${JSON.stringify({ name: 'saqr', version, type: 'module' })}\n`)
cpSync(join(root, 'src/ops'), join(out, 'src/ops'), { recursive: true, filter: (path) => !/\.[a-z]+$/.test(path) || /\.cuh?$/.test(path) })
const libraries = resolve(values.libraries)
const library = /^(saqr-.*\.(so|dylib|dll)|variants\.json)$/
mkdirSync(join(out, 'native/build'), { recursive: true })
for (const file of readdirSync(libraries)) if (library.test(file)) cpSync(join(libraries, file), join(out, 'native/build', file))
for (const file of ['cuda_baseline.py', 'hf_cpu.py', 'hf_generate.py', 'trl_pairs.py'])
  cpSync(join(root, 'bench', file), join(out, 'bench', file))
for (const fixture of ['families', 'training'])
  cpSync(join(root, 'test/fixtures', fixture), join(out, 'test/fixtures', fixture), { recursive: true })
