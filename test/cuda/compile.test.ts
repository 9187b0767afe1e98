/**
 * Every kernel compiles for the cards it is written for, with the product's own path to NVRTC (it needs no driver; PyPI's nvidia-cuda-nvrtc
 * is enough). Where it isn't at hand the name of the test says what is left out; `.ci/run` brings it.
 */
import { mkdirSync, readdirSync } from 'node:fs'
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

/** What a card of this capability loads and launches, going by every op's cases in every type: kernels for others need not compile for it. */
function sourcesFor(arch: number): { source: CudaSource; kernels: Set<string> }[] {
  const found = new Map<string, { source: CudaSource; kernels: Set<string> }>()
  for (const c of cases.filter(({ op }) => cudaOps[op.name])) {
    for (const activation of activations(c)) {
      const step = stepOf(c, activation)
      for (const launch of cudaOps[c.op.name]!.run.launch(step, 1n << 40n, { arch })) {
        if (launch.kind !== 'kernel') continue
        const { source, name } = launch
        const one = found.get(source.name) ?? { source, kernels: new Set() }
        found.set(source.name, one)
        one.kernels.add(name)
      }
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

/**
 * Whether a kernel is one for the card, not how fast: a sixth of the time of full optimisation, under which `test:cuda` runs them all. Code for the
 * target's own instructions is made and assembled either way. Minimal: without what NVRTC brings along for textures and launches by kernels, which
 * no kernel of ours takes: a sixth less.
 */
const FAST = ['--Ofast-compile=max', '--minimal']

function nvrtc(): Compiler | null {
  try {
    return new Compiler({ cache: folder, options: FAST })
  } catch {
    return null
  }
}

const compiler = nvrtc()
const by = compiler ? `NVRTC ${compiler.version}` : 'nobody: LEFT OUT, NVRTC is not here (pip install nvidia-cuda-nvrtc)'

describe(`kernels compiled by ${by}`, () => {
  test('every op has a CUDA side', () => {
    expect(Object.keys(references).filter((name) => !cudaOps[name])).toEqual([])
  })

  test('every file is a kernel of some card', () => {
    const used = new Set(CARDS.flatMap((arch) => sourcesFor(arch).map(({ source }) => source.name)))
    expect([...used].sort()).toEqual(files.sort())
  })

  // 10 to 20 s of one core a target where nothing is cached
  test.skipIf(!compiler).each(CARDS)('for compute capability %i', { timeout: 300_000 }, async (arch) => {
    // what every Blackwell of a PC has, without what only some do
    const target = arch === 120 ? 'sm_120' : targetOf(arch)
    const compiled = async ({ source, kernels }: { source: CudaSource; kernels: Set<string> }) => {
      const code = Buffer.from(await compiler!.cubin(readSource(source), target))
      // an ELF file for the card, with every kernel in it that is launched
      expect(code.toString('latin1', 1, 4)).toBe('ELF')
      expect([source.name, [...kernels].filter((name) => !code.includes(`\0${name}\0`))]).toEqual([source.name, []])
    }
    await Promise.all(sourcesFor(arch).map(compiled))
  })
})
