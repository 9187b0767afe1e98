#!/usr/bin/env node
// Compiles the checks and benchmarks of the CUDA device, with the sources they use, into a folder that runs on a machine with a card,
// Node and the production packages alone.
//   node tools/cuda-pack.mjs [OUT]      default .gpu/js; there: node OUT/tools/cuda-check.js
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const out = resolve(process.argv[2] ?? join(root, '.gpu/js'))
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

const config = join(out, 'tsconfig.json')
const files = ['tools/cuda-check.ts', 'bench/first-light.ts', 'bench/first-light-model.ts'].map((file) => relative(out, join(root, file)))
const compilerOptions = {
  rootDir: relative(out, root),
  outDir: '.',
  noEmit: false,
  declaration: false,
  incremental: false,
  rewriteRelativeImportExtensions: true,
}
writeFileSync(config, JSON.stringify({ extends: relative(out, join(root, 'tsconfig.json')), compilerOptions, files, include: [] }))
const r = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], { stdio: 'inherit' })
if (r.status !== 0) process.exitCode = 1

cpSync(join(root, 'src/ops'), join(out, 'src/ops'), { recursive: true, filter: (path) => !/\.[a-z]+$/.test(path) || /\.cuh?$/.test(path) })
const libraries = join(root, 'native/build')
cpSync(libraries, join(out, 'native/build'), { recursive: true, filter: (path) => path === libraries || /\.(so|json)$/.test(path) })
