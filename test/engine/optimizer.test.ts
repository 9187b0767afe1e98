/** Rates of their own: a tensor moves as it would in a run of that learning rate, under every rule; those beside it as if there were none. */
import { afterAll, describe, expect, it } from 'vitest'
import type { ParameterSpec } from '../../src/adapters/adapter.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { Optimizer } from '../../src/engine/optimizer.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { UPDATE_RULES, type UpdateRuleName } from '../../src/graph/update-rules.ts'

const device = new CpuDevice({ threads: 2 })
afterAll(() => device.dispose())

// small and large ones, of 8-bit state and without, beside one another
const SIZES = [5000, 300, 4096, 9000, 70]
const specs = SIZES.map((cols, i) => ({ name: `t${i}`, rows: 1, cols, role: 'linear' as const, init: { kind: 'zeros' as const } }))

/** values after five steps, by tensor */
async function moved(
  rule: UpdateRuleName,
  learningRate: number,
  rate: ((name: string) => number) | null,
): Promise<Map<string, Float32Array>> {
  const layout = layoutParameters(specs)
  const random = new SeededRandom(1, 'optimizer')
  const drawn = () => Float32Array.from({ length: layout.size }, () => random.normal())
  const bytes = (values: Float32Array) => new Uint8Array(values.buffer)
  device.store('parameters', { rows: 1, cols: layout.size, dtype: 'f32', source: { kind: 'data', bytes: bytes(drawn()) } })
  device.store('gradients', { rows: 1, cols: layout.size, dtype: 'f32', source: { kind: 'zero' } })
  const hyper = { beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.1, momentum: 0.9, nesterov: false }
  const optimizer = new Optimizer(device, layout, { ...hyper, rule, rate: rate && (({ name }) => rate(name)) })
  for (let step = 1; step <= 5; step++) {
    device.writeStore('gradients', bytes(drawn()))
    await optimizer.step(step, learningRate, 1)
  }
  const all = new Float32Array(device.readStore('parameters').slice().buffer)
  optimizer.dispose()
  for (const name of ['parameters', 'gradients']) device.drop(name)
  return new Map([...layout.entries].map(([name, { offset, spec }]) => [name, all.slice(offset, offset + spec.cols)]))
}

describe.each(Object.keys(UPDATE_RULES) as UpdateRuleName[])('%s', (rule) => {
  it('each tensor at its own', async () => {
    const [plain, twice] = [await moved(rule, 0.01, null), await moved(rule, 0.02, null)]
    // twice a power of two: the same bits as a run of that rate
    const mixed = await moved(rule, 0.01, (name) => (name === 't1' || name === 't3' ? 2 : 1))
    for (const [name, values] of mixed) expect(values, name).toEqual((name === 't1' || name === 't3' ? twice : plain).get(name))
    expect(mixed.get('t3')).not.toEqual(plain.get('t3'))
    expect(await moved(rule, 0.01, () => 1)).toEqual(plain)
  })
})

describe('adafactor takes a tensor for what its file has', () => {
  const sizes = (rest: Partial<ParameterSpec>) =>
    UPDATE_RULES.adafactor.each!({ name: 'x', rows: 60, cols: 7, role: 'linear', init: { kind: 'zeros' }, ...rest }).elements

  it.each([
    ['a matrix', {}, 60 + 7],
    ['a row that is a matrix', { rows: 1 }, 1 + 7],
    ['a vector', { rows: 1, role: 'norm' as const }, 7],
    ['experts, each by itself', { role: 'experts' as const, shape: [5, 12, 7] }, 60 + 5 * 7],
    [
      'all A of experts, one matrix',
      { role: 'experts' as const, experts: { of: 'A' as const, experts: 5, size: 7, r: 12, wide: true } },
      60 + 7,
    ],
  ])('%s', (_, rest, expected) => {
    expect(sizes(rest)).toBe(expected)
  })

  it('and refuses those that lie otherwise there, by name', () => {
    const experts = { of: 'B' as const, experts: 5, size: 12, r: 7, wide: false }
    expect(() => sizes({ role: 'experts', experts })).toThrow(/adafactor keeps moments of rows and columns, which of x lie otherwise/)
    expect(() => sizes({ role: 'experts' })).toThrow(/train experts with adamw_torch/)
  })
})
