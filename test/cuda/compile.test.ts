/**
 * Every kernel compiles for the cards it is written for, with the product's own path to NVRTC (it needs no driver; PyPI's nvidia-cuda-nvrtc
 * is enough) or else with nvcc. Where neither is at hand the name of the test says what is left out.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { Compiler, readSource, targetOf } from '../../src/devices/cuda/compiler.ts'
import { Recorder } from '../../src/graph/recorder.ts'
import type { CudaSource, CudaStep, CudaTensor } from '../../src/ops/cuda-launch.ts'
import { cases } from '../../src/ops/generated/cases.ts'
import { cudaOps } from '../../src/ops/generated/cuda.ts'
import { references } from '../../src/ops/generated/references.ts'
import type { OpCase } from '../../src/ops/op.ts'
import { sizeOf, type Tensor } from '../../src/ops/tensor.ts'
import { activations } from '../ops/harness.ts'

/** every .cu below src/ops */
const ops = fileURLToPath(new URL('../../src/ops', import.meta.url))
const files = readdirSync(ops, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.cu'))
/** Turing, Ampere, Hopper, Blackwell: cards by compute capability */
const CARDS = [75, 80, 90, 120]

/** What a card of this capability loads, going by every op's cases in every type: kernels for others need not compile for it. */
function sourcesFor(arch: number): CudaSource[] {
  const found = new Map<string, CudaSource>()
  for (const c of cases.filter(({ op }) => cudaOps[op.name])) {
    for (const activation of activations(c)) {
      const step = stepOf(c, activation)
      for (const launch of cudaOps[c.op.name]!.run.launch(step, 1n << 40n, { arch }))
        if (launch.kind === 'kernel') found.set(launch.source.name, launch.source)
    }
  }
  return [...found.values()]
}

/** A case's step on addresses of no card. */
function stepOf(c: OpCase, activation: 'f32' | 'bf16'): CudaStep {
  let at = 1n << 20n
  const place = (t: Tensor): CudaTensor => {
    at += BigInt(Math.ceil((t.rows * t.stride * 4) / 256) * 256)
    const quant = { codebook: at, absmax: at, absmax8: 0n, code2: 0n, absmax2: 0n, offset: 0, blocksize: 64, blocksize2: 1 }
    const { rows, cols, stride, dtype } = t
    return { at: at + BigInt(sizeOf({ rows: 1, cols: t.offset, dtype })), rows, cols, stride, dtype, quant: dtype === 'nf4' ? quant : null }
  }
  const r = new Recorder()
  const inputs = c.inputs.map((input, i) => {
    if (!input) return null
    const { rows, cols, space, within } = input
    const dtype = input.dtype === 'act' ? activation : input.dtype
    const root = r.tensor(
      `in${i}`,
      { rows, cols: within?.cols ?? cols, dtype },
      space === 'store' ? 'store' : 'input',
      input.trainable === true,
    )
    return within ? r.columns(root, within.from, cols) : root
  })
  r.apply(c.op, inputs, c.attrs, 'case')
  const { op, outputs, attrs } = r.nodes[0]!
  return { name: 'case', op, attrs, inputs: inputs.map((t) => t && place(t)), outputs: outputs.map(place) }
}

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
    expect(Object.keys(references).filter((name) => !cudaOps[name])).toEqual([])
  })

  test('every file is a kernel of some card', () => {
    const used = new Set(CARDS.flatMap((arch) => sourcesFor(arch).map(({ name }) => name)))
    expect([...used].sort()).toEqual(files.sort())
  })

  // about 8 s of one core a target where nothing is cached
  test.skipIf(!compiler && !nvcc).each(CARDS)('for compute capability %i', { timeout: 300_000 }, async (arch) => {
    // what every Blackwell of a PC has, without what only some do
    const target = arch === 120 ? 'sm_120' : targetOf(arch)
    const code = await Promise.all(sourcesFor(arch).map((from) => compile(from, target)))
    // an ELF file for the card, with something in it
    for (const bytes of code) expect(String.fromCharCode(...bytes.subarray(1, 4))).toBe('ELF')
  })
})
