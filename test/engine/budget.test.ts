/** How a budget is used: the cut and what blocks keep, by what the plans are predicted to take. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import type { Device } from '../../src/devices/device.ts'
import { denseBytes, planBudget, storeBytes } from '../../src/engine/budget.ts'
import { grantedBudget } from '../../src/engine/granted.ts'
import { predictSeconds, secondsOf } from '../../src/engine/predict.ts'
import { SaqrError } from '../../src/error.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { type Least, policyAt } from '../../src/graph/fit.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { ScratchOf } from '../../src/graph/lower.ts'
import type { Policy } from '../../src/graph/recompute.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const path = new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url)
const LAYERS = 3
const model = openConfig({ ...JSON.parse(readFileSync(path, 'utf8')), num_hidden_layers: LAYERS, vocab_size: 4096 })
const config = loraConfig({ targetModules: ['q_proj', 'v_proj'] })
const adapter = chooseAdapter({ kind: 'lora', config }, { nf4: true, head: model.head.path }, true)
const recorder = inspect(model, adapter, 'bf16')
const layout = layoutParameters(recorder.parameters.values())
const spec = { model, adapter, activation: 'bf16' as const, layout, score: sft.score, gradients: true }
const store = storeBytes(recorder, layout, null, () => true)

/** a device whose products need `scratch` bytes to be written first */
function device(scratch: ScratchOf): Device {
  const reach = { compute: 1, pairs: 1, copy: 1, launch: 0 }
  const describe = () => ({ kind: 'made', label: '', threads: 1, tokenQuantum: 128, passTokens: 16384, reach, overhead: [], scratch })
  return { describe, limits: () => ({ f32: 1e14, bf16: 1e14, copy: 1e12 }), available: () => 1e12 } as unknown as Device
}

/** one that has memory of its own beside the host's */
function card(hostMemory: number): Device {
  const made = device(() => 0)
  return { ...made, describe: () => ({ ...made.describe(), hostMemory }), limits: () => ({ ...made.limits(), host: 5e10 }) }
}

const ask = (bytes: number) => ({
  spec,
  memory: { bytes, unit: 'B' },
  store,
  longest: 2048,
  stepTokens: 4096,
  maxPassTokens: null,
  lean: { base: true, optimizer: true },
})
const least = (hostMemory: number) => {
  try {
    planBudget(card(hostMemory), ask(store))
  } catch (error) {
    return Number(/need (\d+)B/.exec((error as Error).message)![1])
  }
  throw new Error('it fits')
}

describe('beside a host’s memory', () => {
  const table = 4096 * 4096 * 2

  it('a refused budget is told the least that works, and less of it where more may lie on the host', () => {
    for (const host of [0, 4e9]) expect(planBudget(card(host), ask(least(host))).maxPassTokens).toBe(2048)
    expect(least(4e9)).toBeLessThanOrEqual(least(0) - table)
  })

  it('tables lie there only where not everything can be kept', () => {
    const place = (bytes: number) => planBudget(card(4e9), ask(bytes)).places.get('model.embed_tokens.weight')
    expect([place(least(4e9)), place(1e12)]).toEqual(['host', 'device'])
  })

  it('a host with little of it refuses nothing that fits without', () => {
    expect(planBudget(card(1000), ask(least(0))).full.host).toBe(0)
  })
})

describe('a host whose memory can’t be pinned as planned (WSL)', () => {
  /** pins up to `limit` bytes; what it refused once it says not to have */
  const pinning = (limit: number, most = 4e9) => {
    const asked: number[] = []
    let hostMemory = most
    const made = card(most)
    const refuse = (bytes: number) => {
      asked.push(bytes)
      if (bytes <= limit) return
      hostMemory = Math.floor(bytes / 2)
      throw new SaqrError('MEMORY_REFUSED', 'the host')
    }
    const describe = () => ({ ...made.describe(), hostMemory })
    const move = (_: string, to: string) => to === 'host' && refuse(4096 * 4096 * 2)
    return { asked, device: { ...made, describe, move, reserve: (_: number, host = 0) => host > 0 && refuse(host) } as unknown as Device }
  }
  const roomy = () => ask(Math.ceil(least(0) * 1.1))

  it('is planned with again, with less of it, until the device gives it', () => {
    const planned = planBudget(card(4e9), roomy())
    expect(planned.full.host).toBeGreaterThan(0)
    const limit = (planned.full.host * 2) / 3
    const { asked, device } = pinning(limit)
    const budget = grantedBudget(device, roomy())
    expect(asked.length).toBeGreaterThan(1)
    expect(budget.full.host).toBeLessThanOrEqual(limit)
    expect(budget.host).toBeLessThanOrEqual(device.describe().hostMemory!)

    const none = pinning(0)
    expect([grantedBudget(none.device, roomy()).host, none.asked.length > 0]).toEqual([0, true])
    const all = pinning(4e9)
    expect([grantedBudget(all.device, roomy()).full.hash, all.asked]).toEqual([planned.full.hash, [4096 * 4096 * 2, planned.full.host]])
  })

  it('or the budget is refused, naming what it would take', () => {
    expect(() => grantedBudget(pinning(0).device, ask(least(4e9)))).toThrow(expect.objectContaining({ code: 'MEMORY_BUDGET' }))
  })

  it('memory that the device itself refuses is told at once', () => {
    let times = 0
    const reserve = () => {
      times++
      throw new SaqrError('MEMORY_REFUSED', 'the arena')
    }
    for (const host of [0, 4e9]) {
      const full = { ...card(host), move() {}, reserve } as unknown as Device
      expect(() => grantedBudget(full, roomy())).toThrow('the arena')
    }
    expect(times).toBe(2)
  })
})

describe('passes of other sizes', () => {
  const made = card(4e9)
  const lowered = (tokens: number, policy: (block: number) => Policy) =>
    tracePass({ ...spec, tokens, scratch: () => 0 }).lower(policy).plan.hash

  it('are those that a runner would make by their policies, each handed over once', () => {
    const { policy, take, maxPassTokens, full } = planBudget(made, ask(least(4e9) * 1.05))
    expect(take(maxPassTokens)!.plan).toBe(full)
    for (const tokens of [1920, 1792, 384]) {
      expect(take(tokens)!.plan.hash).toBe(lowered(tokens, policy(tokens)))
      expect(take(tokens)).toBe(undefined)
    }
  })

  it('keep the most that fits into a full one’s arena', () => {
    const { policy, full } = planBudget(made, ask(least(4e9) * 1.05))
    for (const tokens of [1920, 384]) {
      const { lower } = tracePass({ ...spec, tokens, scratch: () => 0 })
      const blocks = [...Array(LAYERS).keys()]
      const chosen = blocks.map(policy(tokens))
      const host = chosen.find((p) => p.startsWith('offload')) as Least | undefined
      const levels = [...Array(2 * LAYERS + 1).keys()].map((level) => policyAt(level, LAYERS, host))
      const first = levels.find((p) => lower(p).arena <= full.arena && lower(p).host <= full.host)!
      expect(blocks.map(first)).toEqual(chosen)
    }
  })
})

it('kernels run beside others on a device that overlaps them, where no budget counts what the branches of graphs take', () => {
  const made = device(() => 0)
  const overlapping = { ...made, describe: () => ({ ...made.describe(), overlaps: true }) }
  const beside = (on: Device, memory: typeof plenty.memory | null) => {
    const { overlaps, full } = planBudget(on, { ...plenty, memory })
    return [overlaps, full.steps.some((step) => step.beside?.on === 'kernels')]
  }
  const plenty = ask(1e12)
  expect(beside(overlapping, null)).toEqual([true, true])
  expect(beside(overlapping, plenty.memory)).toEqual([false, false])
  expect(beside(made, null)).toEqual([false, false])
})

describe('4-bit weights in bf16 too', () => {
  const made = device(() => 0)
  const keeps = { ...made, describe: () => ({ ...made.describe(), keepsDense: true }) }
  const all = tracePass({ ...spec, tokens: 4096, scratch: () => 0 }).lower(policyAt(0, LAYERS)).arena
  // q, k, v, o, gate, up, down of every block
  const copies = LAYERS * 2 * (4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336)

  it('where everything else fits beside them', () => {
    const { dense } = planBudget(keeps, ask(store + all + copies))
    expect([dense.length, denseBytes(dense)]).toEqual([7 * LAYERS, copies])
  })

  it('not where they leave too little, in f32, or on a device that can’t', () => {
    expect(planBudget(keeps, ask(store + all + copies - 1)).dense).toEqual([])
    expect(planBudget(made, ask(1e12)).dense).toEqual([])
    const f32 = { ...ask(1e12), spec: { ...spec, activation: 'f32' as const } }
    expect(planBudget(keeps, f32).dense).toEqual([])
  })
})

/** the budget in which one pass of all tokens fits only where every block is made anew */
function cutOf(scratch: ScratchOf): number {
  const tokens = 4096
  const arena = tracePass({ ...spec, tokens, scratch }).lower(policyAt(2 * LAYERS - 1, LAYERS)).arena
  const memory = { bytes: store + arena, unit: 'GB' }
  const request = { spec, memory, store, longest: 512, stepTokens: tokens, maxPassTokens: null, lean: { base: true, optimizer: true } }
  return planBudget(device(scratch), request).maxPassTokens
}

it('shorter passes instead of products made anew, unless each pass costs more than those', () => {
  expect(cutOf(() => 0)).toBeLessThan(4096)
  expect(cutOf(({ op }) => (op.name === 'product' ? 256e6 : 0))).toBe(4096)
})

it('experts’ products are predicted at the rate of their type, not of where their rows begin', () => {
  const path = new URL('../../examples/configs/qwen3-30b-a3b.json', import.meta.url)
  const mixture = openConfig({ ...JSON.parse(readFileSync(path, 'utf8')), num_hidden_layers: 2, vocab_size: 4096 })
  const frozen = chooseAdapter({ kind: 'lora', config }, { nf4: false, head: mixture.head.path }, true)
  const parameters = layoutParameters(inspect(mixture, frozen, 'bf16').parameters.values())
  const { plan } = tracePass({ ...spec, model: mixture, adapter: frozen, layout: parameters, tokens: 4096 }).lower(policyAt(0, 2))
  const grouped = plan.steps.filter(({ op }) => op === 'grouped_product')
  const flops = grouped.reduce((sum, step) => sum + step.flops, 0)
  const rates = (bf16: number, groups = 1) => ({
    limits: { f32: 1, bf16, copy: Infinity },
    reach: { compute: 1, pairs: 1, groups, copy: 1, launch: 0 },
  })
  const seconds = (bf16: number, groups = 1) => predictSeconds({ ...plan, steps: grouped, segments: [{ ...plan.segments[0]!, from: 0, to: grouped.length, repeats: false }] }, { chunks: 1 }, rates(bf16, groups)) // biome-ignore format: short
  expect(grouped.length).toBeGreaterThan(0)
  expect(seconds(1e12) * 1e12).toBeCloseTo(flops, -6)
  // tiles of small groups are not full: a device says what it reaches of them
  expect(seconds(1e12, 0.5) / seconds(1e12)).toBeCloseTo(2, 9)
})

it('a step waits for the copies that must be done before it, and those for one another', () => {
  const rates = { limits: { f32: 1, bf16: 1, copy: 1, host: 1 }, reach: { compute: 1, pairs: 1, copy: 1, launch: 0 } }
  const step = (bytes: number, until: number | null) => ({ flops: 0, pairFlops: 0, inGroups: false, bytes, recomputed: false, beside: until === null ? null : ({ on: 'copies', until } as const), scratch: null, operand: 'bf16' }) as const // biome-ignore format: a line
  // of a copy's bytes half are read and half written: these take 3 s and 2 s, every other step 1 s
  const seconds = (first: number, second: number) =>
    secondsOf(
      {
        segments: [{ name: 'forward', from: 0, to: 6, repeats: false }],
        steps: [step(1, null), step(6, first), step(4, second), step(1, null), step(1, null), step(1, null)],
      },
      { chunks: 1 },
      rates,
    )
  expect(seconds(6, 6)).toBe(6) // they end at 4 and 6, the steps at 4
  expect(seconds(3, 6)).toBe(7) // the steps go on at 4
  expect(seconds(6, 5)).toBe(7) // the last begins at 6
  expect(seconds(3, 3)).toBe(9)
})
