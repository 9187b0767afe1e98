/**
 * Fifty updates of the optimiser that training uses, over the flat range of several tensors, against bitsandbytes' AdamW8bit as it is
 * installed, on parameters and gradients that are not those of the recording.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { Optimizer } from '../../src/engine/optimizer.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { oracle } from './oracle.ts'
import { json } from './train.ts'

const root = await oracle('adamw8bit', '--seed', '1', '--inputs')
const { lr, betas, eps, weight_decay: weightDecay, sizes, steps, blocksize: BLOCK } = json(join(root, 'expected.json'))
const expected = bytesOf(join(root, 'expected.safetensors'))
const inputs = bytesOf(join(root, 'inputs.safetensors'))

// one flat range of all of them, as a model's tensors lie
const specs = (sizes as number[]).map((cols) => ({
  name: `${cols}`,
  rows: 1,
  cols,
  role: 'linear' as const,
  init: { kind: 'zeros' as const },
}))
const layout = layoutParameters(specs)
const device = new CpuDevice({ threads: 2 })
for (const name of ['parameters', 'gradients']) device.store(name, { rows: 1, cols: layout.size, dtype: 'f32', source: { kind: 'zero' } })
const optimizer = new Optimizer(device, layout, {
  beta1: betas[0],
  beta2: betas[1],
  eps,
  weightDecay,
  momentum: 0,
  nesterov: false,
  rule: 'adamw_8bit',
})
afterAll(() => {
  optimizer.dispose()
  device.dispose()
})

interface State {
  param: Float32Array
  moments: { codes: Uint8Array; scales: Float32Array }[] | null
}

const offsetOf = (size: number) => layout.entries.get(`${size}`)!.offset
const write = (name: string, size: number, bytes: Uint8Array) => device.writeStore(name, bytes, offsetOf(size) * 4)

/** what the optimiser holds of one tensor */
function stateOf(size: number): State {
  const offset = offsetOf(size)
  const param = floats(device.readStore('parameters', offset * 4, size * 4))
  const i = layout.ranges.findIndex(({ from, to }) => from <= offset && offset < to)
  const { from, large } = layout.ranges[i]!
  if (!large) return { param, moments: null }
  const moments = ['m', 'v'].map((moment) => ({
    codes: device.readStore(`adam_${moment}.${i}`, offset - from, size),
    scales: floats(device.readStore(`adam_absmax_${moment}.${i}`, ((offset - from) / BLOCK) * 4, Math.ceil(size / BLOCK) * 4)),
  }))
  return { param, moments }
}

const after = new Map<number, Map<number, State>>()
for (const size of sizes) write('parameters', size, inputs.get(`${size}.parameter`)!)
for (let step = 1; step <= Math.max(...steps); step++) {
  for (const size of sizes) write('gradients', size, inputs.get(`${size}.gradient.${step}`)!)
  await optimizer.step(step, lr, 0)
  if (steps.includes(step)) after.set(step, new Map(sizes.map((size: number) => [size, stateOf(size)])))
}

describe.each(sizes as number[])('%i elements', (size) => {
  it.each(steps as number[])('after %i updates', (step) => {
    const { param, moments } = after.get(step)!.get(size)!
    const theirs = (name: string) => expected.get(`nearest.${size}.${step}.${name}`)!
    const start = kept(floats(inputs.get(`${size}.parameter`)!), size, BLOCK)
    const right = floats(theirs('param'))
    const ours = kept(param, size, BLOCK)
    const change = Math.hypot(...right.map((x, i) => x - start[i]!))
    // the measure of test/ops/adamw8bit.test.ts, with its reasons
    expect(Math.hypot(...right.map((x, i) => x - ours[i]!)) / change).toBeLessThan(step === 1 ? 1e-5 : 1e-3)
    expect(moments === null).toBe(size < 4096)
    moments?.forEach(({ codes, scales }, k) => {
      const others = kept(codes, size, BLOCK).filter((code, i) => code !== theirs(`state${k + 1}`)[i]).length
      expect(others, `codes of state ${k + 1}`).toBeLessThanOrEqual(step === 1 ? 0 : 3)
      const scalesOfBnb = floats(theirs(`absmax${k + 1}`))
      kept(scales, size, 1).forEach((x, i) => {
        expect(Math.abs(x - scalesOfBnb[i]!)).toBeLessThanOrEqual(1e-6 * scalesOfBnb[i]!)
      })
    })
  })
})

it('gradients are zero after an update', () => {
  expect(floats(device.readStore('gradients')).every((x) => x === 0)).toBe(true)
})

/** of the largest tensor the oracle keeps every 16th block */
function kept<T extends Float32Array | Uint8Array>(values: T, size: number, unit: number): T {
  return (size < 65536 ? values : values.filter((_, i) => Math.floor(i / unit) % 16 === 15)) as T
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}

/** every tensor's bytes, each from the start of a buffer */
function bytesOf(path: string): Map<string, Uint8Array> {
  const file = readFileSync(path)
  return new Map(
    [...readSafetensors(path).tensors].map(([name, { offset, bytes }]) => [name, new Uint8Array(file.subarray(offset, offset + bytes))]),
  )
}
