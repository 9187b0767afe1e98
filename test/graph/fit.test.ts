/** The search for what blocks keep, against one that looks at every level; what it is told along the way changes nothing but how many it looks at. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { fitPlan, type Least, lastLevel, policyAt } from '../../src/graph/fit.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { Lowered } from '../../src/graph/lower.ts'
import type { Policy } from '../../src/graph/recompute.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../examples/configs/${name}.json`, import.meta.url), 'utf8'))
const FAMILIES = {
  llama: { ...read('llama-3.1-8b'), num_hidden_layers: 5 },
  // windows every other layer, four norms a block
  gemma2: { ...read('gemma-2-9b'), num_hidden_layers: 4 },
  // experts behind a dense layer
  deepseek: { ...read('deepseek-v2-lite'), num_hidden_layers: 6 },
}
type Lower = (policy: (block: number) => Policy) => Lowered

describe.each(Object.entries(FAMILIES))('of %s', (_, config) => {
  const model = openConfig(config)
  const { layers } = model
  const lora = loraConfig({ targetModules: ['q_proj', 'o_proj'] })
  const adapter = chooseAdapter({ kind: 'lora', config: lora }, { nf4: true, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const { lower } = tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens: 2048 })

  it.each(['recompute', 'offload', 'offload-more'] as const)('the lowest level that fits, %s', (least: Least) => {
    const last = lastLevel(layers, least)
    const all = Array.from({ length: last + 1 }, (_, level) => lower(policyAt(level, layers, least)))
    const arenas = all.map(({ arena }) => arena)
    const hosts = all.map(({ host }) => host)
    const budgets = [...new Set(arenas.flatMap((arena) => [arena, arena - 1]))]
    for (const highest of [layers, last]) {
      for (const arena of budgets) {
        const first = arenas.findIndex((a, level) => a <= arena && level <= highest)
        for (const near of [undefined, ...arenas.keys()]) {
          const found = fitPlan(layers, { arena, host: Number.POSITIVE_INFINITY, least }, lower, { highest, near })
          expect({ arena, near, highest, fits: found.fits }).toEqual({ arena, near, highest, fits: first >= 0 })
          if (first >= 0) expect([found.level, found.plan.arena]).toEqual([first, arenas[first]])
          else if (highest === last) expect(found.plan.arena).toBe(Math.min(...arenas))
        }
      }
    }
    // room in the arena alone is not enough
    const most = Math.max(...hosts)
    if (most > 0) expect(fitPlan(layers, { arena: arenas[hosts.indexOf(most)]!, host: most - 1, least }, lower).fits).toBe(false)
  })

  it('looks at few levels, and at two where the one it begins with is right', () => {
    const looked = new Set<string>()
    const counted: Lower = (policy) => {
      looked.add(Array.from({ length: layers }, (_, block) => policy(block)).join())
      return lower(policy)
    }
    const level = Math.max(1, 2 * layers - 2)
    const room = { arena: lower(policyAt(level, layers)).arena, host: 0, least: 'recompute' as const }
    const found = fitPlan(layers, room, counted, { near: level })
    expect([found.level, looked.size]).toEqual([level, 2])
  })
})

it('what blocks do is lowered once', () => {
  const model = openConfig(FAMILIES.llama)
  const adapter = chooseAdapter({ kind: 'full' }, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const { lower } = tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens: 256 })
  expect(lower(policyAt(5, 5))).toBe(lower(policyAt(5, 5, 'offload')))
  expect(lower(policyAt(5, 5))).not.toBe(lower(policyAt(6, 5)))
})

it('a pass without gradients is the same whatever blocks would do', () => {
  const model = openConfig(FAMILIES.llama)
  const adapter = chooseAdapter({ kind: 'full' }, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const traced = tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: false, tokens: 256 })
  const hashes = [0, 5, 10].map((level) => traced.lower(policyAt(level, 5, 'offload-more')).plan.hash)
  expect(new Set(hashes).size).toBe(1)
})

it('an arena that fits is the one that a plan has, or larger', () => {
  const model = openConfig(FAMILIES.gemma2)
  const adapter = chooseAdapter({ kind: 'full' }, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const made = () =>
    tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens: 512 }).lower(policyAt(6, 4))
  const { arena, floor, plan } = made()
  const [asked, enough] = [made(), 2 * arena]
  // asked first for less than is known to be possible, then for plenty: the places are those of the best order all the same
  expect([asked.fits(floor - 1), asked.fits(arena - 1), asked.fits(enough), asked.fits(arena)]).toEqual([false, false, true, true])
  expect(asked.arena).toBe(arena)
  const late = made()
  expect(late.fits(enough)).toBe(true)
  expect(late.plan.hash).toBe(plan.hash)
})
