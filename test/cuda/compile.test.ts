/**
 * Every kernel compiles for the cards it is written for, with the product's own path to NVRTC (it needs no driver; PyPI's nvidia-cuda-nvrtc
 * is enough) or else with nvcc. Where neither is at hand the name of the test says what is left out.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { Compiler, readSource } from '../../src/devices/cuda/compiler.ts'
import { cudaOps } from '../../src/ops/cuda.ts'
import { type CudaSource, source } from '../../src/ops/cuda-launch.ts'

const FOLDERS = [...new Set(Object.values(readFolders()))]
const TARGETS = ['sm_80', 'sm_90a', 'sm_120']

/** op folders with a cuda.cu, from the registry's import lines */
function readFolders(): string[] {
  const registry = readFileSync(new URL('../../src/ops/cuda.ts', import.meta.url), 'utf8')
  return [...registry.matchAll(/from '\.\/([\w-]+)\/cuda\.ts'/g)]
    .map((m) => m[1]!)
    .filter((folder) => !['product', 'weight-grad'].includes(folder))
}

const sources: CudaSource[] = FOLDERS.map((folder) => source(new URL(`../../src/ops/${folder}/cuda.ts`, import.meta.url).href))
/** what was compiled stays: a kernel is compiled again when it changed */
const folder = fileURLToPath(new URL('../../node_modules/.cache/saqr-cuda', import.meta.url))
mkdirSync(folder, { recursive: true })

function nvrtc(): Compiler | null {
  try {
    return new Compiler(undefined, folder)
  } catch {
    return null
  }
}

const compiler = nvrtc()
const nvcc = spawnSync('nvcc', ['--version']).status === 0
const by = compiler
  ? `NVRTC ${compiler.version}`
  : nvcc
    ? 'nvcc'
    : 'nobody: LEFT OUT, neither NVRTC nor nvcc is here (pip install nvidia-cuda-nvrtc)'

async function compile(from: CudaSource, target: string): Promise<Uint8Array> {
  if (compiler) return compiler.cubin(readSource(from), target)
  const text = readSource(from)
  const key = createHash('sha256').update(JSON.stringify(text)).digest('hex').slice(0, 24)
  const out = join(folder, `nvcc-${from.folder}-${target}-${key}.cubin`)
  if (!existsSync(out)) execFileSync('nvcc', ['-cubin', '-std=c++17', `-arch=${target}`, '-o', out, fileURLToPath(from.url)])
  return readFileSync(out)
}

describe(`kernels compiled by ${by}`, () => {
  test('every op with a CUDA side has its sources listed', () => {
    expect(Object.keys(cudaOps).length).toBeGreaterThanOrEqual(FOLDERS.length)
    expect(FOLDERS).toContain('attention')
  })

  test.skipIf(!compiler && !nvcc).each(TARGETS)('for %s', async (target) => {
    const code = await Promise.all(sources.map((from) => compile(from, target)))
    // an ELF file for the card, with something in it
    for (const bytes of code) expect(String.fromCharCode(...bytes.subarray(1, 4))).toBe('ELF')
  })
})
