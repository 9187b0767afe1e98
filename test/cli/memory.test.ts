import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { ScratchOf } from '../../src/graph/lower.ts'
import { optimizerPlan, statesOf } from '../../src/graph/optimizer.ts'
import type { Plan } from '../../src/graph/plan.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { UPDATE_RULES, type UpdateRuleName } from '../../src/graph/update-rules.ts'
import { openConfig } from '../../src/models/registry.ts'
import { memoryOf } from '../../src/train/memory.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { adapterConfig } from '../../src/train/options/adapter.ts'
import { resolveObject } from '../../src/train/options/resolve.ts'
import { sftFields } from '../../src/train/options/sft.ts'

const config = JSON.parse(readFileSync(new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url), 'utf8')) as Record<
  string,
  unknown
>

interface Plans {
  plans: [pass: Plan, optimizer: Plan]
  /** names of the optimiser's state */
  state: string[]
}

const plans = (...given: Parameters<typeof traced>): [Plan, Plan] => traced(...given).plans

function traced(policy: 'all' | 'recompute', tokens: number, nf4 = false, scratch?: ScratchOf, rule: UpdateRuleName = 'adamw'): Plans {
  const model = openConfig({ ...config, num_hidden_layers: 3 })
  const lora = adapterConfig(resolveObject(sftFields, { usePeft: true, loraR: 8, loraDropout: 0 }).options)!
  const adapter = chooseAdapter({ kind: 'lora', config: lora }, { nf4, head: model.head.path }, false)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const spec = { model, adapter, activation: 'bf16' as const, layout, tokens, chunk: 128, score: sft.score, gradients: true, scratch }
  const options = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, momentum: 0, nesterov: false, rule }
  const pass = tracePass(spec).lower(() => policy).plan
  return { plans: [pass, optimizerPlan(layout, options, scratch)], state: statesOf(layout, rule).map(({ name }) => name) }
}

/** bytes under at least one live buffer, at the fullest step */
function fullest(plan: Plan): number {
  let most = 0
  for (let i = 0; i < plan.steps.length; i++) {
    const spans = plan.buffers.filter((b) => b.space !== 'store' && b.from <= i && b.to >= i).map((b) => [b.at, b.at + b.bytes] as const)
    const { scratch } = plan.steps[i]!
    if (scratch) spans.push([scratch.at, scratch.at + scratch.bytes])
    let [covered, end] = [0, 0]
    for (const [from, to] of spans.sort((a, b) => a[0] - b[0])) {
      covered += Math.max(0, to - Math.max(from, end))
      end = Math.max(end, to)
    }
    most = Math.max(most, covered)
  }
  return most
}

describe('memory of plans', () => {
  it.each(['all', 'recompute'] as const)('adds up to arena and store, its peak where the arena is fullest (%s)', (policy) => {
    const [pass, optimizer] = plans(policy, 256)
    const table = memoryOf([pass, optimizer])
    expect(table.arena).toBe(pass.arena)
    expect(table.lines.reduce((sum, line) => sum + line.atPeak, 0)).toBe(table.total)
    for (const line of table.lines) expect(line.atPeak).toBeLessThanOrEqual(line.bytes)
    const gaps = table.lines.find((line) => line.kind === 'gaps')?.bytes ?? 0
    expect(pass.arena - gaps).toBe(fullest(pass))
    expect(table.peak).toMatch(/^(forward|head|backward) \S+$/)
  })

  it('has what kernels of a device need beside their tensors, while they run', () => {
    const ofProducts: ScratchOf = ({ op }) => (op.name === 'product' ? 1000 * 256 : 0)
    const [pass] = plans('recompute', 256, false, ofProducts)
    const [without] = plans('recompute', 256)
    expect(pass.steps.filter(({ op, scratch }) => (scratch?.bytes ?? 0) !== (op === 'product' ? 1000 * 256 : 0))).toEqual([])
    const gaps = memoryOf([pass]).lines.find((line) => line.kind === 'gaps')?.bytes ?? 0
    expect(pass.arena - gaps).toBe(fullest(pass))
    expect(pass.arena).toBeLessThanOrEqual(without.arena + 1000 * 256)
  })

  it('counts what lies across steps once, whoever names it', () => {
    const { plans, state } = traced('all', 128)
    const lines = new Map(memoryOf(plans, { state }).lines.map((line) => [line.kind, line.bytes]))
    // r 8 on q_proj (4096 -> 4096) and v_proj (4096 -> 1024) of three blocks, f32; Adam holds two of each
    const trained = 3 * 8 * (4096 + 4096 + 4096 + 1024) * 4
    expect(lines.get('trained weights')).toBe(trained)
    expect(lines.get('gradients')).toBe(trained)
    expect(lines.get('optimizer state')).toBe(2 * trained)
    const block = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096
    const constants = 64 * 4
    expect(lines.get('frozen weights')).toBe(2 * (3 * block + 2 * 128256 * 4096 + 4096) + constants)
  })

  it.each(Object.keys(UPDATE_RULES) as UpdateRuleName[])('knows the state of %s by what the rule calls it', (rule) => {
    const { plans, state } = traced('all', 128, false, undefined, rule)
    const lines = new Map(memoryOf(plans, { state }).lines.map((line) => [line.kind, line.bytes]))
    const [pass] = plans
    const alone = memoryOf([pass]).lines.find(({ kind }) => kind === 'frozen weights')!.bytes
    expect(lines.get('frozen weights')).toBe(alone)
    expect(lines.get('optimizer state') ?? 0).toBe(plans[1].buffers.filter(({ space, name }) => space === 'store' && name !== 'parameters' && name !== 'gradients').reduce((sum, { bytes }) => sum + bytes, 0)) // biome-ignore format: one sum
    expect(lines.has('optimizer state')).toBe(rule !== 'sgd')
  })

  it('counts NF4 with its block scales', () => {
    const { plans, state } = traced('all', 128, true)
    const frozen = (doubleQuant: boolean) =>
      memoryOf(plans, { state, nested: () => doubleQuant }).lines.find((line) => line.kind === 'frozen weights')!.bytes
    const weights = 3 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    const rest = 2 * (3 * 2 * 4096 + 2 * 128256 * 4096 + 4096) + 64 * 4
    expect(frozen(false)).toBe(weights / 2 + (weights / 64) * 4 + rest)
    expect(frozen(true)).toBe(weights / 2 + weights / 64 + (weights / 64 / 256) * 4 + rest)
  })
})
