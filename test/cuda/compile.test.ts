/**
 * Every kernel compiles for the cards it is written for, with the product's own path to NVRTC (it needs no driver; PyPI's nvidia-cuda-nvrtc
 * is enough) or else with nvcc. Where neither is at hand the name of the test says what is left out.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { Compiler, readSource } from '../../src/devices/cuda/compiler.ts'
import type { CudaSource } from '../../src/ops/cuda-launch.ts'
import { cudaOps } from '../../src/ops/generated/cuda.ts'
import { references } from '../../src/ops/generated/references.ts'

/** every .cu below src/ops */
const ops = fileURLToPath(new URL('../../src/ops', import.meta.url))
const sources = readdirSync(ops, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.cu'))
  .map((name): CudaSource => ({ name, url: pathToFileURL(join(ops, name)) }))
const TARGETS = ['sm_80', 'sm_90a', 'sm_120']

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
  const out = join(folder, `nvcc-${target}-${key}.cubin`)
  if (!existsSync(out)) {
    const include = mkdtempSync(join(tmpdir(), 'saqr-cuda-'))
    writeFileSync(join(include, 'attrs.cuh'), text.headers.find(({ name }) => name === 'attrs.cuh')!.text)
    execFileSync('nvcc', ['-cubin', '-std=c++17', `-arch=${target}`, '-I', include, '-o', out, fileURLToPath(from.url)])
    rmSync(include, { recursive: true })
  }
  return readFileSync(out)
}

describe(`kernels compiled by ${by}`, () => {
  test('every op has a CUDA side', () => {
    expect(Object.keys(cudaOps).sort()).toEqual(Object.keys(references).sort())
  })

  // about 8 s of one core a target where nothing is cached
  test.skipIf(!compiler && !nvcc).each(TARGETS)('for %s', { timeout: 300_000 }, async (target) => {
    const code = await Promise.all(sources.map((from) => compile(from, target)))
    // an ELF file for the card, with something in it
    for (const bytes of code) expect(String.fromCharCode(...bytes.subarray(1, 4))).toBe('ELF')
  })
})
